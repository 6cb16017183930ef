"""Asks against what was drawn, on sites of cities that never trained, from the written files alone.

    python scripts/check_control.py STORES OUT [SITES]

STORES is a folder of tile stores, of which the cities of the test split are used. For each site a
square of 120 to 160 m is cut from the city, a brief is drawn (coverage as the real site has it,
floors and green by chance), and schemes are drawn guided and unguided with the same seed. FAR,
coverage and green are then recomputed by geopandas from `schemes.gpkg`; net carbon of both is
compared pair by pair.
"""

from __future__ import annotations

import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from scipy.stats import wilcoxon
from shapely.geometry import Polygon

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fabricgen.city.store import TileStore, centred_frame
from fabricgen.design import Brief, LoopSettings, run
from fabricgen.design.objective import SteeringSettings
from fabricgen.design.site import place_site
from fabricgen.errors import InputError
from fabricgen.exchange import write_schemes

TEST = 2  # code of the test split in a store's index


def main() -> None:
    """Draws, recomputes, prints the table."""
    stores, out = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 32
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20260101)
    store = TileStore.open(stores)
    cities = [c for c in store.cities() if (store.index(c)["split"] == TEST).any()]
    rows: list[dict] = []
    while len({row["site"] for row in rows}) < count:
        city = cities[len({row["site"] for row in rows}) % len(cities)]
        rows += _one(TileStore.open(stores / city), city, len(rows) // 2, out, rng)
    table = pd.DataFrame(rows)
    table.to_csv(out / "control.csv", index=False)
    _print(table)


def _one(
    store: TileStore, city: str, number: int, out: Path, rng: np.random.Generator
) -> list[dict]:
    index = store.index(city)
    dense = np.flatnonzero((index["split"] == TEST) & (index["surface_share_building"] > 0.08))
    pick = int(rng.choice(dense))
    edge = float(rng.uniform(120, 160))
    frame = centred_frame(
        store.frame(city).crs, float(index["x_m"][pick]), float(index["y_m"][pick]),
        float(index["wall_angle_deg"][pick]), rows=1, cols=1, pixel_m=edge,
    )  # fmt: skip
    x, y = frame.to_world(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0]))
    shape = gpd.GeoDataFrame(geometry=[Polygon(np.stack([x, y], 1))], crs=frame.crs)
    try:
        site = place_site(shape, store, name=city)
    except InputError:
        return []  # the square reaches out of what is mapped; another is drawn
    labels = site.window.labels[site.editable]
    coverage = round(float(np.clip((labels == 1).mean(), 0.12, 0.45)), 2)
    brief = Brief.read(
        {
            "site_coverage": coverage,
            "far": round(coverage * float(rng.uniform(2, 6)), 2),
            "green_ratio": round(float(rng.uniform(0.2, 0.8)) * (0.85 - coverage), 2),
        }
    )
    rows = []
    for guided in (True, False):
        settings = LoopSettings(steering=SteeringSettings(guided=guided))
        made = run(site, None, brief, 2, number, settings=settings)
        path = out / f"{city}_{number}_{'guided' if guided else 'unguided'}.gpkg"
        write_schemes([(s.name, s.plan) for s in made.schemes], path)
        got = recompute(path)
        net = [s.score.net_kgco2e_per_year for s in made.schemes]
        floor_m2 = [s.score.indicators["gross_floor_area_m2"] for s in made.schemes]
        rows.append(
            {"site": number, "city": city, "guided": guided, "edge_m": edge}
            | {f"asked_{name}": brief.asks[name][0] for name in brief.asks}
            | {f"got_{name}": value for name, value in got.items()}
            | {"net_kgco2e_per_m2_year": float(np.mean(np.divide(net, floor_m2)))}
        )
        print(rows[-1], flush=True)
    return rows


def recompute(path: Path) -> dict[str, float]:
    """FAR, coverage and green of the first scheme of a file, by geopandas alone."""
    layers = {name: gpd.read_file(path, layer=name) for name in ("site", "buildings", "green")}
    first = sorted(layers["site"]["scheme"].unique())[0]
    site, buildings, green = (table[table["scheme"] == first] for table in layers.values())
    site_m2 = site.union_all().area
    return {
        "far": float((buildings.area * buildings["floors"]).sum() / site_m2),
        "site_coverage": float(buildings.union_all().area / site_m2),
        "green_ratio": float(green.union_all().area / site_m2),
    }


def _print(table: pd.DataFrame) -> None:
    for guided, part in table.groupby("guided"):
        far = (part["got_far"] / part["asked_far"] - 1).abs()
        cover = (part["got_site_coverage"] / part["asked_site_coverage"] - 1).abs()
        green = (part["got_green_ratio"] - part["asked_green_ratio"]).abs()
        print(
            f"{'guided' if guided else 'unguided'}, {len(part)} sites, median (90 %): "
            f"FAR {far.median():.1%} ({far.quantile(0.9):.1%}), "
            f"coverage {cover.median():.1%} ({cover.quantile(0.9):.1%}), "
            f"green {100 * green.median():.1f} ({100 * green.quantile(0.9):.1f}) points"
        )
    pairs = table.pivot_table(index="site", columns="guided", values="net_kgco2e_per_m2_year")
    gain = pairs[False] - pairs[True]
    test = wilcoxon(pairs[True], pairs[False], alternative="less")
    print(
        f"net carbon per floor area, guided below unguided on {(gain > 0).sum()} of {len(gain)} "
        f"sites; median gain {gain.median():.3f} kgCO2e/m2/yr "
        f"({(gain / pairs[False]).median():.2%}); Wilcoxon p = {test.pvalue:.2g}"
    )


if __name__ == "__main__":
    main()
