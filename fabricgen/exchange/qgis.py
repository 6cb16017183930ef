"""The QGIS plugin as a zip that QGIS installs: its code, its metadata and our styles."""

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from fabricgen import __version__
from fabricgen.exchange.styles import ground_style, styles
from fabricgen.files import atomic_file, shipped

PLUGIN = "fabricgen_qgis"  # its folder in QGIS, and the name of its package there
SUFFIXES = (".py", ".svg")
CREATED = (2020, 1, 1, 0, 0, 0)  # a constant, so that equal versions give equal files


def write_plugin(path: Path) -> list[str]:
    """Write the plugin, whole or not at all.

    Args:
        path: The zip; its folder must exist.

    Returns:
        The names inside.
    """
    parts = plugin_files()
    with atomic_file(Path(path)) as part, ZipFile(part, "w", ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            entry = ZipInfo(f"{PLUGIN}/{name}", CREATED)
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, text)
    return [f"{PLUGIN}/{name}" for name in parts]


def plugin_files() -> dict[str, str]:
    """The text of each file of the plugin by its name in it."""
    source = shipped("qgis")
    code = {
        file.name: file.read_text(encoding="utf-8")
        for file in sorted(source.iterdir())
        if file.suffix in SUFFIXES
    }
    metadata = (source / "metadata.txt").read_text(encoding="utf-8")
    looks = {**styles(), "ground": ground_style()}
    return {
        "metadata.txt": f"{metadata.rstrip()}\nversion={__version__}\n",
        **code,
        **{f"styles/{name}.qml": document for name, document in looks.items()},
    }
