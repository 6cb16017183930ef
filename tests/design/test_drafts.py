"""A run cut into parts: by the count alone, all schemes once."""

import pytest

from fabricgen.design.drafts import MOST, split


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 30, 10_000])
def test_parts_hold_every_scheme_once_and_none_is_large(count):
    parts = split(count)
    schemes = [first + k for first, some in parts for k in range(some)]
    assert schemes == list(range(count))
    sizes = [some for _, some in parts]
    assert max(sizes) - min(sizes) <= 1 <= min(sizes) and max(sizes) <= MOST
    assert len(parts) >= min(count, 2)  # so that two cores have work
