"""A QGIS without a window that runs one algorithm of the installed plugin; QGIS's Python runs it.

Reads {"plugins": folder, "algorithm", "parameters", "layers": {parameter: [{"uri", "name"}]},
"load", "stop_after_s", "picture"} as JSON from its first word, and prints what came of it as JSON, as
the last line.
"""

import json
import sys
import threading
import time

from qgis.core import (
    QgsApplication,
    QgsLayerTreeGroup,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor


class Listener(QgsProcessingFeedback):
    def __init__(self):
        super().__init__(False)
        self.said, self.shares = [], []
        self.progressChanged.connect(self.shares.append)

    def pushInfo(self, text):
        self.said.append(text)

    def pushWarning(self, text):
        self.said.append(f"warning: {text}")

    def reportError(self, text, fatalError=False):
        self.said.append(f"error: {text}")

    def setProgressText(self, text):
        self.said.append(text)


def tree(group):
    """Names in the layer tree: a layer is its name, a group is [name, on or off, its members]."""
    return [
        [node.name(), node.itemVisibilityChecked(), tree(node)]
        if isinstance(node, QgsLayerTreeGroup)
        else node.name()
        for node in group.children()
    ]


def looks(layer):
    """How a layer is drawn: color by category, fields' types, features, labels."""
    renderer = layer.renderer()
    colors = {}
    if renderer is not None and renderer.type() == "categorizedSymbol":
        colors = {c.value(): c.symbol().color().name() for c in renderer.categories()}
    elif renderer is not None:
        colors = {"": renderer.symbol().color().name()}
    labels = layer.labeling().settings() if layer.labelsEnabled() else None
    return {
        "name": layer.name(),
        "valid": layer.isValid(),
        "features": layer.featureCount(),
        "colors": colors,
        "schemes": sorted(map(str, layer.uniqueValues(layer.fields().indexOf("scheme")))),
        "types": {field.name(): field.typeName() for field in layer.fields()},
        "labels": [labels.minimumScale, labels.maximumScale] if labels else None,
    }


def picture(path):
    """Draws what is switched on in the project."""
    project = QgsProject.instance()
    root = project.layerTreeRoot()
    layers = [n.layer() for n in root.findLayers() if n.isVisible() and n.layer().isSpatial()]
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(layers[0].crs())
    extent = layers[0].extent()
    extent.scale(1.05)
    settings.setExtent(extent)
    settings.setOutputSize(QSize(1200, 950))
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(path)


def run(asked):
    from processing.core.Processing import Processing
    from processing.gui.Postprocessing import handleAlgorithmResults

    Processing.initialize()
    from fabricgen_qgis.plugin import FabricgenPlugin

    plugin = FabricgenPlugin()
    plugin.initGui()
    project = QgsProject.instance()
    parameters = dict(asked["parameters"])
    for name, layers in asked.get("layers", {}).items():
        parameters[name] = []
        for one in layers:
            layer = QgsVectorLayer(one["uri"], one["name"], "ogr")
            project.addMapLayer(layer, False)
            parameters[name].append(layer.id())
    listener, context = Listener(), QgsProcessingContext()
    context.setProject(project)
    context.setFeedback(listener)
    algorithm = QgsApplication.processingRegistry().createAlgorithmById(asked["algorithm"])
    good, why = algorithm.checkParameterValues(parameters, context)
    if not good:
        return {"refused": why}
    if asked.get("stop_after_s") is not None:
        threading.Timer(asked["stop_after_s"], listener.cancel).start()
    began = time.monotonic()
    results, good = algorithm.run(parameters, context, listener)
    elapsed_s = time.monotonic() - began
    if asked.get("load"):
        handleAlgorithmResults(algorithm, context, listener)
    loaded = {n.layer().id(): n.layer() for n in project.layerTreeRoot().findLayers()}
    if asked.get("picture"):
        picture(asked["picture"])
    return {
        "good": good,
        "results": results,
        "said": listener.said,
        "shares": listener.shares,
        "elapsed_s": elapsed_s,
        "tree": tree(project.layerTreeRoot()),
        "looks": [looks(layer) for layer in loaded.values()],
    }


if __name__ == "__main__":
    application = QgsApplication([], False)
    application.initQgis()
    asked = json.loads(sys.argv[1])
    sys.path[:0] = [f"{QgsApplication.pkgDataPath()}/python/plugins", asked["plugins"]]
    print(json.dumps(run(asked), default=str))
