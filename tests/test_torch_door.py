"""A torchvision without compiled operators does not take lightning down."""

import subprocess
import sys

import pytest


def _run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_door_itself_loads_neither_torchvision_nor_lightning():
    code = (
        "import sys, fabricgen._torch\n"
        "print(sorted({'torchvision', 'lightning', 'torchmetrics'} & set(sys.modules)))"
    )
    assert _run(code) == "[]"


def test_an_unknown_name_is_an_attribute_error():
    from fabricgen import _torch

    with pytest.raises(AttributeError, match="no attribute 'timm'"):
        _ = _torch.timm


@pytest.mark.slow
def test_lightning_and_torchvision_load_through_the_door():
    code = (
        "from fabricgen._torch import lightning, torch, torchvision\n"
        "before = torch.library.register_fake\n"
        "torchvision.utils.make_grid(torch.zeros(2, 3, 4, 4))\n"
        "assert before is torch.library.register_fake and before.__module__ == 'torch.library'\n"
        "print(lightning.LightningModule.__name__)"
    )
    assert _run(code) == "LightningModule"


@pytest.mark.slow
def test_a_registration_for_other_operators_still_fails():
    code = (
        "from fabricgen import _torch\n"
        "with _torch._missing_operators_allowed():\n"
        "    _torch.torch.library.register_fake('torchvision::no_such')(lambda: None)\n"
        "    try:\n"
        "        _torch.torch.library.register_fake('ours::no_such')(lambda: None)\n"
        "    except RuntimeError:\n"
        "        print('refused')\n"
    )
    assert _run(code) == "refused"
