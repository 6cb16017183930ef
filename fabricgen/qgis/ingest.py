"""The algorithm that reads a city into a tile store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterString,
)

from . import command
from .base import OUTPUT, FabricgenVerb
from .generate import EXTRACT, EXTRACTS

CITY = "CITY"


class Ingest(FabricgenVerb):
    """`fabricgen ingest`."""

    NAME = "ingest"
    TITLE = "Ingest city"
    HELP = (
        "Reads a city extract (.osm.pbf or a GeoPackage) into a tile store, from which schemes are "
        "drawn faster. An older store in the folder is replaced once the new one is whole."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802
        """Its fields."""
        self.addParameter(QgsProcessingParameterFile(EXTRACT, "City extract", fileFilter=EXTRACTS))
        what = "Name of the city (blank: that of the file)"
        self.addParameter(QgsProcessingParameterString(CITY, what, optional=True))
        self.add_settings()
        self.addParameter(QgsProcessingParameterFolderDestination(OUTPUT, "Folder of the store"))

    def words(
        self, parameters: dict[str, Any], context: QgsProcessingContext, out: Path
    ) -> list[str]:
        """Of `ingest`."""
        return command.ingest(
            extract=Path(self.parameterAsFile(parameters, EXTRACT, context)),
            out=out,
            city=self.parameterAsString(parameters, CITY, context).strip(),
            settings=self.settings(parameters, context),
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
        """The store; the log tells what it holds and what was left out."""
        feedback.pushInfo(f"{document['buildings']:,} buildings on {document['area_km2']:.1f} km2")
        for reason, count in document["dropped"].items():
            feedback.pushInfo(f"left out {count:,}: {reason}")
        return {OUTPUT: str(out)}
