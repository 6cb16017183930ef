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

from . import command, load, shown
from .base import OUTPUT, REGION, FabricgenVerb

PLANS, LAYERS, BEFORE = "PLANS", "LAYERS", "BEFORE"
SCORES, PAGE = "SCORES", "PAGE"


class Score(FabricgenVerb):
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

    def check(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:
        """Holds the settings to what can be read, and asks for at least one plan."""
        if not parameters.get(PLANS) and not parameters.get(LAYERS):
            return False, "Give files of plans, or the layers of one."
        return super().check(parameters, context)

    def prepareAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        _feedback: QgsProcessingFeedback,
    ) -> bool:
        """Writes layers of the project, which only this thread may read."""
        files = self.parameterAsFileList(parameters, PLANS, context)
        self._plans = [Path(file) for file in files if file]  # QGIS tells no file as a blank one
        drawn = self.layers_file(parameters, LAYERS, context)
        self._plans += [drawn] if drawn else []
        return True

    def words(
        self, parameters: dict[str, Any], context: QgsProcessingContext, out: Path
    ) -> list[str]:
        """Of `score`."""
        before = self.parameterAsFile(parameters, BEFORE, context)
        own = [command.setting("before", before)] if before else []
        return command.score(
            plans=self._plans,
            out=out,
            region=self.parameterAsString(parameters, REGION, context),
            settings=[*own, *self.settings(parameters, context)],
        )

    def results(
        self,
        document: dict[str, Any],
        out: Path,
        *,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """The table, which it has shown, and the page of the best plan."""
        for row in document.get("plans") or []:
            net_t = row["net_kgco2e_per_year"] / 1000
            feedback.pushInfo(f"{row['rank']}. {row['plan']}: net {net_t:,.1f} t CO2e a year")
        table = shown.table_of(out, f"scores of {out.name}")
        load.show([table], context)
        page = out / f"{shown.best_of(out, 'plan')}.html"
        pages = {PAGE: str(page)} if page.exists() else {}  # very many plans have none
        return {OUTPUT: str(out), SCORES: table.uri, **pages}
