"""A Ray cluster gives the same parts as processes do, also when a node is lost on the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fabricgen.batch import BatchSettings, EngineSettings, score_many, write_plan_table
from fabricgen.errors import MissingDependencyError, ResourceError
from tests.batch.conftest import FAST, named_plans
from tests.batch.test_run import parts_of, scores

ON_RAY = EngineSettings("ray")
ROOT = Path(__file__).parents[2]


def test_ray_that_is_not_installed_is_told_with_its_extra(table, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'fabricgen\[cluster\]'"):
        score_many([table], out=tmp_path / "o", settings=FAST, batch=BatchSettings(engine=ON_RAY))


# A process of its own: Ray's threads and sockets are no business of other tests.
TWO_NODES = """
import os, sys, threading, time
from pathlib import Path
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"
from ray.cluster_utils import Cluster
from fabricgen.batch import BatchSettings, EngineSettings, score_many
from tests.batch.conftest import FAST

source, out, lose = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "lose"
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
other = cluster.add_node(num_cpus=1)

def kill_half_way():
    while len(list((out / "parts").glob("part-*"))) < 4:
        time.sleep(0.05)
    cluster.remove_node(other, allow_graceful=False)
    print("lost a node", flush=True)

if lose:
    threading.Thread(target=kill_half_way, daemon=True).start()
engine = EngineSettings("ray", address=cluster.address)
batch = BatchSettings(engine=engine, plans_per_part=3)
print(score_many([source], out=out, settings=FAST, batch=batch).scored)
cluster.shutdown()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("lose", ["keep", "lose"])
def test_two_nodes_give_the_parts_of_one_process_even_if_one_is_lost(tmp_path, inline, lose):
    source = tmp_path / "plans.parquet"
    write_plan_table(named_plans(48), source)
    score_many([source], out=tmp_path / "one", settings=FAST, batch=BatchSettings(plans_per_part=3))
    words = [sys.executable, "-c", TWO_NODES, str(source), str(tmp_path / "ray"), lose]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr[-3000:]
    lines = [line for line in said.stdout.splitlines() if line in ("lost a node", "48")]
    assert lines == (["lost a node", "48"] if lose == "lose" else ["48"])
    assert parts_of(tmp_path / "ray") == parts_of(tmp_path / "one")
    assert scores(tmp_path / "ray").equals(scores(tmp_path / "one"))


def test_an_address_without_a_cluster_is_one_line(table, tmp_path):
    batch = BatchSettings(engine=EngineSettings("ray", address="127.0.0.1:1"))
    with pytest.raises(ResourceError, match=r"no Ray cluster at 127.0.0.1:1"):
        score_many([table], out=tmp_path / "o", settings=FAST, batch=batch)
