"""The folder of an evaluation: `metrics.json`, the page, every plan's numbers, `run.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fabricgen import provenance
from fabricgen.files import atomic_file
from fabricgen.quality.page import page
from fabricgen.quality.protocol import Evaluation

ROWS = "rows.json"  # grows while a run lasts; what a stopped run goes on from


def write_evaluation(evaluation: Evaluation, out: Path, *, record: Mapping[str, Any]) -> None:
    """Writes the results beside `rows.json`, each whole, `run.json` last."""
    with atomic_file(out / "metrics.json") as part:
        text = json.dumps(evaluation.metrics, indent=1, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")
    with atomic_file(out / "evaluate.html") as part:
        part.write_text(page(evaluation, record), encoding="utf-8")
    provenance.write(record, out)
