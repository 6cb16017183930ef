"""Attribution: every account's maps sum to its amounts, also those of accounts to come."""

import pytest
import torch

from fabricgen.carbon.evaluator import ACCOUNTS
from fabricgen.carbon.site import make_site

MIX = {"residential": 0.6, "office": 0.25, "retail": 0.15}


@pytest.mark.parametrize("region", ["fi", "cn-sh", "us-ny"])
@pytest.mark.parametrize("before", [False, True], ids=["new", "on_base"])
@pytest.mark.parametrize("name", list(ACCOUNTS))
def test_the_maps_of_an_account_sum_to_its_amounts(name, before, region, soft, place):
    layout = soft(5, shape=(2, 24, 20), dtype=torch.float32)
    base = soft(6, shape=(2, 24, 20), dtype=torch.float32) if before else None
    inside = torch.zeros(2, 24, 20, dtype=torch.bool)
    inside[:, 3:20, 2:15] = True
    site, _ = make_site(layout, context=base, inside=inside, usual_height_m=9.0)
    entries, _ = ACCOUNTS[name](site, place(region, dtype=torch.float32), MIX)
    for entry in entries:
        by_pixel = entry.per_pixel
        assert by_pixel.shape == inside.shape
        total = by_pixel.double().sum(dim=(1, 2))
        apart = (total - entry.amount.double()).abs()
        assert bool((apart <= 1e-5 * entry.amount.abs().double() + 1e-6).all()), entry.name
        assert float(by_pixel[~inside].abs().max()) == 0, entry.name
