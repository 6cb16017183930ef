"""The algorithm that draws schemes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputFile,
    QgsProcessingOutputHtml,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from . import command, load, shown, sources
from .base import OUTPUT, REGION, FabricgenVerb, readable

SITE, SITES, COUNT, SEED, STREETS, LOAD = "SITE", "SITES", "COUNT", "SEED", "STREETS", "LOAD"
EXTRACT, STORE, AROUND = "EXTRACT", "STORE", "AROUND"
SCHEMES, SCORES, REPORT = "SCHEMES", "SCORES", "REPORT"
EXTRACTS = "City extracts (*.osm.pbf *.pbf *.gpkg);;All files (*)"


class Generate(FabricgenVerb):
    """`fabricgen generate`."""

    NAME = "generate"
    TITLE = "Generate block schemes"
    HELP = (
        "Draws schemes of streets, buildings and green for a site, ranked by brief and carbon.\n\n"
        "The city around comes from one of three: an extract (.osm.pbf or a GeoPackage), a tile "
        "store made by Ingest city, or layers called buildings, streets, green, trees, water and "
        "paved.\n\n"
        "An item of the brief is a number such as 2.0, a range such as 0.3-0.5, or blank for free. "
        "Where several features have columns such as far, each is a site of its own.\n\n"
        "The folder of results is written whole or not at all; give a new one to each run."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802
        """Its fields and what it hands back."""
        polygons = [QgsProcessing.TypeVectorPolygon]
        self.addParameter(QgsProcessingParameterFeatureSource(SITE, "Site", polygons))
        self.addParameter(
            QgsProcessingParameterFile(
                EXTRACT, "City around: extract", fileFilter=EXTRACTS, optional=True
            )
        )
        folder = QgsProcessingParameterFile.Folder
        self.addParameter(
            QgsProcessingParameterFile(STORE, "or: tile store", behavior=folder, optional=True)
        )
        kind = QgsProcessing.TypeVectorAnyGeometry
        self.addParameter(
            QgsProcessingParameterMultipleLayers(AROUND, "or: layers", kind, optional=True)
        )
        for name, title in command.INDICATORS.items():
            self.addParameter(QgsProcessingParameterString(name.upper(), title, optional=True))
        self._add_numbers()
        self.addParameter(QgsProcessingParameterFolderDestination(OUTPUT, "Folder for the results"))
        self.addOutput(QgsProcessingOutputFile(SCHEMES, "Plans of all schemes"))
        self.addOutput(QgsProcessingOutputFile(SCORES, "Scores"))
        self.addOutput(QgsProcessingOutputHtml(REPORT, "Report"))
        for layer in shown.LAYERS:
            self.addOutput(QgsProcessingOutputVectorLayer(layer.upper() + "_LAYER", layer))

    def _add_numbers(self) -> None:
        whole = QgsProcessingParameterNumber.Integer
        self.addParameter(
            QgsProcessingParameterNumber(
                COUNT, "Schemes", whole, defaultValue=8, minValue=1, maxValue=10_000
            )
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                SEED, "Seed of every random choice", whole, defaultValue=0, minValue=0
            )
        )
        self.addParameter(
            QgsProcessingParameterBoolean(
                LOAD, "Show the schemes in the project", defaultValue=True
            )
        )
        sites = ["by its columns", "all features are one site", "each feature is a site"]
        self.add_advanced(
            QgsProcessingParameterEnum(SITES, "Features of the site", sites, defaultValue=0)
        )
        streets = ["new", "the site's streets stay"]
        self.add_advanced(QgsProcessingParameterEnum(STREETS, "Streets", streets, defaultValue=0))
        self.add_region()
        self.add_settings()

    def check(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:
        """Holds the brief and the settings to what can be read, and the city to one source."""
        given = [name for name in (EXTRACT, STORE, AROUND) if parameters.get(name)]
        if len(given) != 1:
            return False, "Give the city around once: an extract, a tile store, or layers."
        for name, text in self._asks(parameters, context).items():
            good, why = readable(lambda text=text: command.ask(text) if text.strip() else None)
            if not good:
                return False, f"{command.INDICATORS[name]}: {why}"
        return super().check(parameters, context)

    def prepareAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        _feedback: QgsProcessingFeedback,
    ) -> bool:
        """Writes layers of the project, which only this thread may read."""
        self._layers = self.layers_file(parameters, AROUND, context)
        return True

    def environment(self) -> dict[str, str]:
        """Layers are read anew each time, so their store goes with their file."""
        return {"FABRICGEN_CACHE": str(self._layers.parent)} if self._layers else {}

    def words(
        self, parameters: dict[str, Any], context: QgsProcessingContext, out: Path
    ) -> list[str]:
        """Of `generate`, for the site as a file."""
        source = self.parameterAsSource(parameters, SITE, context)
        if source is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, SITE))
        site = sources.temporary("site.gpkg")
        sources.write(source, site, "site", context=context)
        file = self.parameterAsFile(parameters, EXTRACT, context) or (
            self.parameterAsFile(parameters, STORE, context)
        )
        return command.generate(
            site=site,
            context=self._layers or Path(file),
            out=out,
            count=self.parameterAsInt(parameters, COUNT, context),
            seed=self.parameterAsInt(parameters, SEED, context),
            asks=self._asks(parameters, context),
            settings=self._settings(parameters, context),
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
        """Its files and layers; has the schemes shown."""
        say_unmet(document, feedback)
        if self.parameterAsBool(parameters, LOAD, context):
            load.show([shown.table_of(out, "scores"), *shown.layers_of(out)], context)
        return results_of(out)

    def _asks(self, parameters: dict[str, Any], context: QgsProcessingContext) -> dict[str, str]:
        return {
            name: self.parameterAsString(parameters, name.upper(), context)
            for name in command.INDICATORS
        }

    def _settings(self, parameters: dict[str, Any], context: QgsProcessingContext) -> list[str]:
        sites = command.SITES[self.parameterAsEnum(parameters, SITES, context)]
        streets = command.STREETS[self.parameterAsEnum(parameters, STREETS, context)]
        region = self.parameterAsString(parameters, REGION, context)
        own = [f"sites={sites}", f"streets={streets}", command.setting("region", region)]
        return [*own, *self.settings(parameters, context)]


def say_unmet(document: dict[str, Any], feedback: QgsProcessingFeedback) -> None:
    """Warns of asks that schemes miss, and of blocks that were set aside."""
    for scheme, misses in (document.get("unmet") or {}).items():
        for miss in misses:
            got = f"asked {miss['asked']}, got {miss['nearest']:.3g}"
            feedback.pushWarning(f"{scheme}: {miss['name']} not met, {got}; {miss['why']}")
    count = len(document.get("schemes") or [])
    feedback.pushInfo(f"{count} schemes in {document.get('out')}")


def results_of(out: Path) -> dict[str, Any]:
    """What the algorithm hands back: the folder, its files, and its layers for a model to use."""
    page = out / "report.html"
    plans = out / shown.PLANS
    layers = {f"{name.upper()}_LAYER": shown.uri_of(plans, name) for name in shown.LAYERS}
    files = {SCHEMES: str(plans), SCORES: str(out / shown.SCORES)}
    report = {REPORT: str(page)} if page.exists() else {}  # a run of blocks has one for each
    return {OUTPUT: str(out), **files, **report, **layers}
