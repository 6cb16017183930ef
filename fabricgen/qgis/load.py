"""Shows results in the project: layers in groups, in their order, in their styles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsLayerTreeGroup,
    QgsLayerTreeNode,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingUtils,
)
from qgis.PyQt.QtXml import QDomDocument

from .shown import Shown

STYLES = Path(__file__).with_name("styles")
PLACE = "fabricgen/place"  # property of a node in the layer tree


class Arranger(QgsProcessingLayerPostProcessorInterface):
    """Styles a layer that was loaded, and moves it into its group."""

    kept: list[Arranger] = []  # noqa: RUF012 (QGIS holds no reference of its own)

    def __init__(self, shown: Shown) -> None:
        super().__init__()
        self.shown = shown
        Arranger.kept.append(self)

    def postProcessLayer(  # noqa: N802 (QGIS asks for this name)
        self, layer: QgsMapLayer, context: QgsProcessingContext, _feedback: QgsProcessingFeedback
    ) -> None:
        """Called in the main thread once the layer is in the project."""
        if self.shown.style:
            # `loadNamedStyle` would rather take the default that the GeoPackage holds.
            document = QDomDocument()
            document.setContent((STYLES / f"{self.shown.style}.qml").read_text(encoding="utf-8"))
            layer.importNamedStyle(document)
        else:
            layer.loadDefaultStyle()
        node = context.project().layerTreeRoot().findLayer(layer.id())
        if node is not None:
            _move(node, self.shown, context.project().layerTreeRoot())
        layer.triggerRepaint()
        Arranger.kept.remove(self)


def show(layers: Sequence[Shown], context: QgsProcessingContext) -> None:
    """Has Processing load layers when the algorithm is done, where there is a project."""
    if context.project() is None:
        return
    for shown in layers:
        details = QgsProcessingContext.LayerDetails(
            shown.name, context.project(), "", QgsProcessingUtils.LayerHint.Vector
        )
        details.forceName = True
        details.setPostProcessor(Arranger(shown))
        context.addLayerToLoadOnCompletion(shown.uri, details)


def _move(node: QgsLayerTreeNode, shown: Shown, root: QgsLayerTreeGroup) -> None:
    group: Any = root
    for depth, name in enumerate(shown.groups):
        inner = group.findGroup(name)
        if inner is None:
            inner = group.insertGroup(0 if depth == 0 else -1, name)
            inner.setItemVisibilityChecked(shown.visible or depth == 0)
            inner.setExpanded(shown.visible)
        group = inner
    copy = node.clone()
    copy.setCustomProperty(PLACE, shown.place)
    copy.setExpanded(False)
    places = [int(child.customProperty(PLACE, 0)) for child in group.children()]
    group.insertChildNode(sum(place <= shown.place for place in places), copy)
    node.parent().removeChildNode(node)
