"""The package list is complete, and the wheel works outside the checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_folder_is_in_the_list_and_nothing_else():
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    inside = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "fabricgen").rglob("__init__.py")
    }
    assert listed == inside | {"fabricgen.configs", "fabricgen.checkpoints"}


def test_folders_that_lie_beside_the_package_can_be_imported():
    for folder in PROJECT["tool"]["setuptools"]["package-dir"].values():
        assert (ROOT / folder / "__init__.py").is_file()


def test_every_data_file_is_in_the_package_data():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "fabricgen").rglob("*"):
        relative = path.relative_to(ROOT)
        if not path.is_file() or path.suffix in {".py", ".pyc"} or "__pycache__" in path.parts:
            continue
        package = next(
            ".".join(parent.parts) for parent in relative.parents if (ROOT / parent / "__init__.py").exists()
        )  # fmt: skip
        inside = path.relative_to(ROOT / Path(*package.split(".")))
        assert any(inside.match(glob) for glob in data.get(package, [])), relative


def test_the_version_is_said_once_in_each_place():
    import fabricgen

    assert PROJECT["project"]["version"] == fabricgen.__version__


def test_importing_fabricgen_costs_nothing():
    code = "import sys, fabricgen; print(sorted({'torch', 'numpy', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_is_not_public_is_an_attribute_error():
    import fabricgen

    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = fabricgen.no_such_name


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A fresh environment that holds our wheel and sees this one's other packages."""
    where = tmp_path_factory.mktemp("wheel")
    source = where / "source"  # setuptools leaves its build folders where it builds
    for name in ("fabricgen", "configs", "checkpoints"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", str(where), str(source)], check=True, cwd=where)
    (wheel,) = where.glob("*.whl")
    venv.create(where / "env", with_pip=False)
    python = where / "env" / "bin" / "python"
    ours = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    subprocess.run([*pip, "--no-index", str(wheel)], check=True)
    others = [path for path in sys.path if path.endswith("site-packages")]
    # Only the folders, so that an editable fabricgen of this environment is not followed.
    Path(ours, "others.pth").write_text("\n".join(others) + "\n", encoding="utf-8")
    return python


def _run(python, code, cwd):
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, cwd=cwd, env=clean, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_runs_help_outside_the_checkout(installed, tmp_path):
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [installed.with_name("fabricgen"), "--help"],
        capture_output=True, text=True, cwd=tmp_path, env=clean, check=True,
    )  # fmt: skip
    assert "generate" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "must"), [("generate", []), ("ingest", []), ("train", ["trainer.data=stores"])]
)
def test_the_wheel_composes_its_settings_outside_the_checkout(installed, tmp_path, verb, must):
    code = (
        "from fabricgen.settings import compose; from fabricgen.files import shipped\n"
        f"compose({verb!r}, {must!r}); print(shipped('configs'))"
    )
    assert "site-packages" in _run(installed, code, tmp_path)


@pytest.mark.slow
def test_the_wheel_holds_its_data(installed, tmp_path):
    code = (
        "from fabricgen.files import shipped\n"
        "print(*sorted(p.name for n in ('demo', 'checkpoints') for p in shipped(n).iterdir()))"
    )
    names = _run(installed, code, tmp_path).split()
    beside = [
        path.name
        for folder in (ROOT / "fabricgen" / "demo", ROOT / "checkpoints")
        for path in folder.iterdir()
        if path.is_file()
    ]
    assert set(beside) <= set(names)
