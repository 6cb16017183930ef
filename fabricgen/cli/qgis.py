"""`fabricgen qgis`: the plugin for QGIS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import console

ZIP = "fabricgen_qgis.zip"


def qgis(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the zip.")] = Path("outputs"),
) -> None:
    """Write the plugin for QGIS, a zip that its plugin manager installs.

    fabricgen qgis --out outputs
    """
    import shutil

    from ..exchange.qgis import write_plugin
    from ..files import prepare_output

    prepare_output(out, free_mb=1)
    target = out / ZIP
    names = write_plugin(target)
    command = shutil.which("fabricgen")
    document = {"out": str(target), "files": names, "command": command}
    console.show(document, text=describe(target, command))


def describe(target: Path, command: str | None) -> str:
    """What to do with the zip."""
    lines = [
        f"written to {target}",
        "in QGIS: Plugins, Manage and Install Plugins, Install from ZIP",
    ]
    if command:
        lines.append(f"the plugin looks for this command on QGIS's PATH: {command}")
        lines.append("if it is not there: Settings, Options, Processing, Providers, fabricgen")
    return "\n".join(lines)
