"""The algorithm that writes plans in the formats of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterString,
)

from . import command
from .base import OUTPUT, REGION, FabricgenVerb

PLAN, FORMATS, SCHEME = "PLAN", "FORMATS", "SCHEME"


class Export(FabricgenVerb):
    """`fabricgen export`."""

    NAME = "export"
    TITLE = "Export plans to CAD, BIM and GIS"
    HELP = (
        "Writes a plan, or every scheme of a file, as GeoPackage, GeoJSON, GeoParquet, DXF, "
        "CityJSON, IFC or cloud-optimized GeoTIFF. Other files in the folder stay.\n\n"
        "With a carbon region, buildings in CityJSON carry their carbon."
    )
    MAKES_FOLDER = False

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802
        """Its fields."""
        self.addParameter(QgsProcessingParameterFile(PLAN, "Plan"))
        self.addParameter(
            QgsProcessingParameterEnum(
                FORMATS, "Formats", list(command.FORMATS), allowMultiple=True, defaultValue=[1]
            )
        )
        what = "Schemes, with commas between (blank: all)"
        self.addParameter(QgsProcessingParameterString(SCHEME, what, optional=True))
        what = "Carbon region of CityJSON, or auto"
        self.add_advanced(QgsProcessingParameterString(REGION, what, optional=True))
        self.addParameter(QgsProcessingParameterFolderDestination(OUTPUT, "Folder for the files"))

    def words(
        self, parameters: dict[str, Any], context: QgsProcessingContext, out: Path
    ) -> list[str]:
        """Of `export`."""
        chosen = self.parameterAsEnums(parameters, FORMATS, context)
        return command.export(
            plan=Path(self.parameterAsFile(parameters, PLAN, context)),
            out=out,
            formats=[command.FORMATS[index] for index in chosen],
            schemes=self.parameterAsString(parameters, SCHEME, context),
            region=self.parameterAsString(parameters, REGION, context),
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
        """The folder; the log lists its files."""
        for row in document.get("files") or []:
            feedback.pushInfo(f"{row['file']} ({row['format']} of {row['scheme']})")
        return {OUTPUT: str(out)}
