"""Where a benchmark's result goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fabricgen.errors import SettingsError
from fabricgen.files import atomic_file


def write_json(result: Mapping[str, Any], target: Path | None) -> None:
    """Writes a result to the file of `--json`, where one was given.

    Raises:
        SettingsError: The file cannot be written.
    """
    if target is None:
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as part:
            part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    except OSError as err:
        raise SettingsError(
            f"--json {target}: cannot be written ({err.strerror})", "give another file"
        ) from None
