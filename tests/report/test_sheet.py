import subprocess
import sys

import numpy as np
from PIL import Image

from fabricgen.report import contact_sheet
from fabricgen.report.sheet import DPI, PANEL_IN
from fabricgen.surfaces import BUILDING, COLORS


def test_a_sheet_has_a_panel_per_scheme(tmp_path, schemes, surroundings):
    contact_sheet(schemes[:5], tmp_path / "sheet.png", surroundings)
    with Image.open(tmp_path / "sheet.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] == round(4 * PANEL_IN * DPI)
    color = [int(COLORS[BUILDING][k : k + 2], 16) for k in (1, 3, 5)]
    built = (pixels == color).all(axis=-1)
    panels = [np.array_split(row, 4, axis=1) for row in np.array_split(built, 2)]
    assert [[bool(p.any()) for p in row] for row in panels] == [[True] * 4, [True] + [False] * 3]


def test_the_same_schemes_make_the_same_sheet(tmp_path, schemes):
    for name in ("a.png", "b.png"):
        contact_sheet(schemes[:2], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_pyplot_is_never_loaded():
    code = "import sys, fabricgen.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
