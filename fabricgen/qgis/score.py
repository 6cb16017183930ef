"""The algorithm that counts the carbon of plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputHtml,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
)

from . import command, load, shown, sources
from .base import OUTPUT, REGION, FabricgenAlgorithm, readable

PLANS, LAYERS, BEFORE = "PLANS", "LAYERS", "BEFORE"
SCORES, PAGE = "SCORES", "PAGE"


class Score(FabricgenAlgorithm):
    """`fabricgen score`."""

    NAME = "score"
    TITLE = "Score plans"
    HELP = (
        "Counts the carbon of plans, with ranges, and ranks them.\n\n"
        "Plans are files (GeoPackage, GeoJSON, GeoParquet, GeoTIFF), or layers that are one plan "
        "together, called site, buildings, roads, green, trees, paved and water. Layers count as "
        "they are shown, with their filters and edits: the group of one scheme is that scheme.\n\n"
        "The table of scores is added to the project; a page for each plan lies in the folder."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802
        """Its fields and what it hands back."""
        self.addParameter(
            QgsProcessingParameterMultipleLayers(
                PLANS, "Files of plans", QgsProcessing.TypeFile, optional=True
            )
        )
        kind = QgsProcessing.TypeVectorAnyGeometry
        self.addParameter(
            QgsProcessingParameterMultipleLayers(
                LAYERS, "Layers that are one plan", kind, optional=True
            )
        )
        self.add_region()
        self.add_advanced(
            QgsProcessingParameterFile(BEFORE, "Plan of what stands today", optional=True)
        )
        self.add_settings()
        self.addParameter(QgsProcessingParameterFolderDestination(OUTPUT, "Folder for the results"))
        self.addOutput(QgsProcessingOutputVectorLayer(SCORES, "Scores"))
        self.addOutput(QgsProcessingOutputHtml(PAGE, "Page of the best plan"))

    def checkParameterValues(  # noqa: N802
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """Holds the settings to what can be read, and asks for at least one plan."""
        good, why = super().checkParameterValues(parameters, context)
        if not good:
            return good, why
        if not parameters.get(PLANS) and not parameters.get(LAYERS):
            return False, "Give files of plans, or the layers of one."
        return readable(lambda: self.settings(parameters, context))

    def prepareAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        _feedback: QgsProcessingFeedback,
    ) -> bool:
        """Writes layers of the project, which only this thread may read."""
        self._plans = [Path(p) for p in self.parameterAsFileList(parameters, PLANS, context)]
        layers = self.parameterAsLayerList(parameters, LAYERS, context)
        if layers:
            path = sources.temporary("layers.gpkg")
            self._plans.append(sources.write_all(layers, path, context=context))
        return True

    def processAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Runs fabricgen and has the table shown."""
        out = Path(self.parameterAsString(parameters, OUTPUT, context))
        before = self.parameterAsFile(parameters, BEFORE, context)
        own = [command.setting("before", before)] if before else []
        words = command.score(
            plans=self._plans,
            out=out,
            region=self.parameterAsString(parameters, REGION, context),
            settings=[*own, *self.settings(parameters, context)],
        )
        document = self.run_fabricgen(words, feedback, out=out)
        if document is None:
            return {}
        for row in document.get("plans") or []:
            net_t = row["net_kgco2e_per_year"] / 1000
            feedback.pushInfo(f"{row['rank']}. {row['plan']}: net {net_t:,.1f} t CO2e a year")
        table = shown.table_of(out, f"scores of {out.name}")
        load.show([table], context)
        page = out / f"{shown.best_of(out, 'plan')}.html"
        return {OUTPUT: str(out), SCORES: table.uri, PAGE: str(page)}
