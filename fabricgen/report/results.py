"""The folder of results: plans, scores, rasters, report, pictures and their provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fabricgen import provenance
from fabricgen.carbon import factors
from fabricgen.design import Run, weights_path
from fabricgen.exchange import write_geotiff, write_schemes
from fabricgen.files import atomic_folder, sha256_of
from fabricgen.plan import site_mask
from fabricgen.report.html import write_report
from fabricgen.report.sheet import contact_sheet
from fabricgen.report.surroundings import surroundings_of
from fabricgen.report.tables import scores_table, write_table

MARK = "run.json"  # written last; a folder that holds it is complete, and ours to replace


def write_results(run: Run, out: Path, *, record: Mapping[str, Any]) -> Path:
    """Writes everything that a run hands over; earlier results stay until all of it is there.

    Args:
        run: Ranked schemes of one site.
        out: The folder: `schemes.gpkg`, `scores.csv`, `scores.parquet`, one GeoTIFF a scheme,
            `report.html`, `contact_sheet.png`, and `run.json` last.
        record: Provenance, from `record_of`.

    Raises:
        StorageError: The folder cannot be written, or holds something that is not ours.
    """
    window = run.site.window
    around = surroundings_of(window.boxes, window.segments, window.labels, run.site.frame)
    with atomic_folder(Path(out), mark=MARK) as folder:
        plans = [(scheme.name, scheme.plan) for scheme in run.schemes]
        write_schemes(plans, folder / "schemes.gpkg", meta=record)
        write_table(scores_table(run.schemes), folder, "scores")
        for scheme in run.schemes:
            inside = site_mask(scheme.plan.site, scheme.frame)
            write_geotiff(scheme.layout, scheme.frame, folder / f"{scheme.name}.tif", inside=inside)
        write_report(run.schemes, folder / "report.html", run=record, surroundings=around)
        contact_sheet(run.schemes, folder / "contact_sheet.png", around)
        provenance.write(record, folder)
    return Path(out)


def record_of(
    run: Run,
    *,
    verb: str,
    start: provenance.Start,
    settings: Mapping[str, Any],
    inputs: tuple[Path, Path],
) -> dict[str, Any]:
    """What `run.json` says about a run.

    Args:
        run: The run.
        verb: `generate` or `demo`.
        start: When it began.
        settings: All of its settings, so that `--settings run.json` repeats it.
        inputs: Site and context.
    """
    return provenance.record(
        verb,
        start=start,
        settings=settings,
        seed=settings["seed"],
        inputs=inputs,
        weights=weights_path(run.settings.weights),
        more=facts_of(run, asked=settings["count"]),
    )


def facts_of(run: Run, *, asked: int) -> dict[str, Any]:
    """What `run.json` says about the schemes of one site, their data and their factors."""
    card = run.site.card
    return {
        "region": run.region,
        "brief": run.brief.table(),
        "data": [
            {
                "name": card["name"],
                "source": card["source"],
                "license": card["licence"],
                "attribution": card["attribution"],
            }
        ],
        "trained_on": run.models.card.get("cities"),
        "factors": {
            name: sha256_of(Path(factors.__file__).parent / name) for name in factors.FACTOR_FILES
        },
        "counts": {"asked": asked, "made": len(run.schemes)},
        "unmet": {
            scheme.name: [vars(miss) for miss in scheme.unmet]
            for scheme in run.schemes
            if scheme.unmet
        },
        "not_assessed": list(run.schemes[0].score.ledger.not_assessed),
    }
