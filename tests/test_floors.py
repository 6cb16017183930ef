"""Training stands on torch, numpy and lightning alone, also where nothing else is installed."""

import subprocess
import sys

ABSENT = "geopandas shapely rasterio pyproj pyogrio osmium pyarrow pandas hydra omegaconf pydantic"


def test_what_training_needs_loads_without_geo_libraries_or_hydra():
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r}.split()))\n"
        "import fabricgen.layout, fabricgen.form.indicators, fabricgen.city.store\n"
        "import fabricgen.generator, fabricgen.carbon, fabricgen.learn\n"
        "from fabricgen.learn.data import StepBatches\n"
        "from fabricgen.settings import fill, load\n"
        "print('loaded')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "loaded", done.stderr
