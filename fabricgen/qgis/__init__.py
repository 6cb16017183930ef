"""The QGIS plugin: fabricgen's verbs as Processing algorithms.

`fabricgen qgis` packs this folder into a zip, and QGIS loads it as a plugin of its own, in its own
Python (3.9 or later), where fabricgen is not installed. So nothing here imports the rest of the
package: the verbs run as processes in fabricgen's environment. What needs no QGIS is in `command`,
`follow` and `shown`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plugin import FabricgenPlugin


def classFactory(_iface: object) -> FabricgenPlugin:  # noqa: N802 (QGIS asks for this name)
    """The plugin, for QGIS to load; `_iface` is None where QGIS runs without a window."""
    from .plugin import FabricgenPlugin

    return FabricgenPlugin()
