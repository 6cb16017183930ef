"""The algorithm that looks whether fabricgen is there and whole."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
)

from .base import FabricgenAlgorithm

VERSION = "VERSION"


class Check(FabricgenAlgorithm):
    """`fabricgen doctor`."""

    NAME = "check"
    TITLE = "Check fabricgen"
    HELP = (
        "Finds the command of fabricgen, and says what its environment has and what it lacks: "
        "packages, torch and GPU, GDAL, weights, settings."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802
        """It has no fields."""
        self.addOutput(QgsProcessingOutputString(VERSION, "Version of fabricgen"))

    def processAlgorithm(  # noqa: N802
        self,
        _parameters: dict[str, Any],
        _context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Runs fabricgen's own check and shows its findings."""
        document = self.run_fabricgen(["doctor", "--json"], feedback, may_lack=True)
        if document is None:
            return {}
        missing = []
        for finding in document["findings"]:
            text = "; ".join(part for part in (finding["value"], finding["fix"]) if part)
            line = f"{finding['name']}: {text}"
            if finding["missing"]:
                missing.append(line)
                feedback.reportError(line)
            else:
                feedback.pushInfo(line)
        if missing:
            raise QgsProcessingException(f"fabricgen lacks something: {missing[0]}")
        versions = {finding["name"]: finding["value"] for finding in document["findings"]}
        return {VERSION: versions["fabricgen"]}
