"""Judges weights on a city from a file of resolved settings, or the judge itself on real tiles.

    python training/evaluate.py SETTINGS.json CITY OUT
    python training/evaluate.py --self-test CITY.osm.pbf [TILES]

`fabricgen evaluate` does the first from Hydra's settings. The second damages half of the tiles of
a city and prints what each measure says of it, against the other half.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fabricgen import provenance
from fabricgen.cli.console import progress
from fabricgen.quality.protocol import EvaluateSettings, evaluate
from fabricgen.quality.results import ROWS, write_evaluation
from fabricgen.quality.selftest import table_of
from fabricgen.settings import fill, load


def main() -> None:
    """Reads the command line, judges, and says where the results are."""
    words = sys.argv[1:]
    if words[:1] == ["--self-test"] and len(words) in (2, 3):
        print(table_of(Path(words[1]), tiles=int(words[2]) if len(words) == 3 else 400))
        return
    if len(words) != 3:
        raise SystemExit(__doc__)
    start, values, city, out = (
        provenance.Start(),
        load(Path(words[0])),
        Path(words[1]),
        Path(words[2]),
    )
    out.mkdir(parents=True, exist_ok=True)
    with progress("evaluate") as on_step:
        found = evaluate(
            city, rows=out / ROWS, settings=fill(EvaluateSettings, values), on_step=on_step
        )
    told = {"settings": values, "inputs": [city], "more": {"data": found.sources}}
    write_evaluation(found, out, record=provenance.record("evaluate", start=start, **told))
    print(f"written to {out}")


if __name__ == "__main__":
    main()
