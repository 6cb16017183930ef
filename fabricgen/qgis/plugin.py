"""What QGIS loads: registers the provider of the algorithms, with and without a window."""

from __future__ import annotations

from qgis.core import QgsApplication

from .provider import FabricgenProvider


class FabricgenPlugin:
    """Holds the provider while the plugin is loaded."""

    def __init__(self) -> None:
        self.provider: FabricgenProvider | None = None

    def initProcessing(self) -> None:  # noqa: N802 (QGIS asks for this name)
        """Adds the algorithms; all that `qgis_process` needs."""
        self.provider = FabricgenProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:  # noqa: N802
        """Adds the algorithms where QGIS has a window."""
        self.initProcessing()

    def unload(self) -> None:
        """Takes them away again."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
