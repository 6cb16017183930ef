"""What shape is it: indicators of layouts (torch) and of plans (geometry).

`indicators` holds what a brief asks for; `greening` and `green_groups` the green measures;
`landscape` and `patches` measures of any categorical raster; `morphology` those of buildings and
streets as geometry. Nothing loads before it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fabricgen.form.green_groups import green_space
    from fabricgen.form.greening import (
        city_cq,
        green_plot_ratio,
        open_sky,
        runoff_coefficient,
        urban_greening_factor,
    )

__all__ = [
    "city_cq",
    "green_plot_ratio",
    "green_space",
    "open_sky",
    "runoff_coefficient",
    "urban_greening_factor",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'fabricgen.form' has no attribute {name!r}")
    from fabricgen.form import green_groups, greening

    return getattr(green_groups if name == "green_space" else greening, name)
