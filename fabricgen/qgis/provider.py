"""The provider: the list of algorithms, and the setting that names fabricgen's command."""

from __future__ import annotations

from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .base import EXECUTABLE
from .check import Check
from .export import Export
from .generate import Generate
from .ingest import Ingest
from .score import Score


class FabricgenProvider(QgsProcessingProvider):
    """fabricgen in the Processing toolbox."""

    def id(self) -> str:
        """First part of the algorithms' names, as in `fabricgen:generate`."""
        return "fabricgen"

    def name(self) -> str:
        """As the toolbox shows it."""
        return "fabricgen"

    def icon(self) -> QIcon:
        """Of the provider and its algorithms."""
        return QIcon(str(Path(__file__).with_name("icon.svg")))

    def load(self) -> bool:
        """Adds the setting, then the algorithms."""
        ProcessingConfig.settingIcons[self.name()] = self.icon()
        what = "Command of fabricgen, or the folder of its environment (blank: on the PATH)"
        ProcessingConfig.addSetting(
            Setting(self.name(), EXECUTABLE, what, "", valuetype=Setting.FILE)
        )
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self) -> None:
        """Takes the setting away."""
        ProcessingConfig.removeSetting(EXECUTABLE)

    def loadAlgorithms(self) -> None:  # noqa: N802 (QGIS asks for this name)
        """One algorithm for each verb, and one that looks whether fabricgen is there."""
        for algorithm in (Generate, Score, Export, Ingest, Check):
            self.addAlgorithm(algorithm())
