"""The surrogate of recorded searches, and the files that it reads."""

import json

import numpy as np
import pytest
from nasplug_predictors.svr import SVR
from nasplug_tables.recorded.recordings import read
from nasplug_tables.recorded.surrogate import Surrogate

import nasplug
from nasplug import Metric, NasplugError
from nasplug.contracts.types import full_trials
from nasplug.testing import EvaluatorContract, ToySpace

HEADER = "number,status,score,latency,architecture,config,seconds,error\n"


def own(path, space, n=40, repeat=0):
    """A results.csv in which the score is the number of parameters' logarithm."""
    archs = space.valid(space.sample(n, np.random.default_rng(0)))
    archs += archs[:1] * repeat
    lines = []
    for i, arch in enumerate(archs):
        score = float(np.log(space.costs([arch])["params"][0])) + (0.5 if i >= n else 0.0)
        text = json.dumps(list(arch)).replace(" ", "")
        lines.append(f'{i},ok,{score},{i % 7},"{text}","{{}}",0.1,\n')
    lines.append(f'{len(archs)},failed,,,"{json.dumps([0] * len(archs[0]))}","{{}}",0.1,broken\n')
    path.write_text(HEADER + "".join(lines))
    return archs


@pytest.fixture
def space():
    return ToySpace(layers=5)


class TestRecorded(EvaluatorContract):
    timed = ()

    @pytest.fixture
    def space(self):
        return ToySpace(layers=5)

    @pytest.fixture
    def evaluator(self, space, tmp_path):
        own(tmp_path / "results.csv", space)
        return Surrogate(space, SVR(), [str(tmp_path / "results.csv")])


def test_it_predicts_what_was_recorded(space, tmp_path):
    archs = own(tmp_path / "a.csv", space, n=120)
    evaluator = Surrogate(space, SVR(), [str(tmp_path / "a.csv")], minimize=["score"])
    assert evaluator.metrics == {
        "score": Metric("", "minimize"),
        "latency": Metric("ms", "minimize"),
    }
    told = [o.values["score"] for o in evaluator.evaluate(full_trials(archs), ["score"])]
    np.testing.assert_allclose(told, np.log(space.costs(archs)["params"]), atol=0.1)
    error = evaluator.errors()["score"]
    assert error["tau"] > 0.8 and 0 < error["error"] < 0.3 and error["R2"] > 0.8


def test_repeats_are_averaged_and_failures_left_out(space, tmp_path):
    archs = own(tmp_path / "a.csv", space, n=30, repeat=3)
    recorded = read([str(tmp_path / "a.csv")], space)
    assert set(recorded) == set(archs) and len(recorded) == 30
    plain = float(np.log(space.costs(archs[:1])["params"][0]))
    assert recorded[archs[0]]["score"] == pytest.approx(plain + 3 / 8)


def test_dynast_files(shared_data):
    space = nasplug.make("space", "ofa_mbv3")
    files = sorted((shared_data / "ofa").glob("mbnv3w10_*.csv"))
    recorded = read([str(f) for f in files], space)
    assert len(recorded) == 1045
    assert all(set(values) == {"params", "macs", "top1"} for values in recorded.values())
    costs = space.costs(list(recorded))
    for name in ("params", "macs"):
        assert [v[name] for v in recorded.values()] == costs[name].tolist()
    evaluator = nasplug.make("evaluator", "recorded", space=space, results=[str(f) for f in files])
    assert list(evaluator.metrics) == ["top1"]
    error = evaluator.errors()["top1"]
    assert error["error"] < 0.065 and error["R2"] > 0.995 and error["tau"] > 0.95


def test_mistakes(space, tmp_path):
    def reading(name):
        return Surrogate(space, SVR(), [str(tmp_path / name)]).metrics

    with pytest.raises(NasplugError, match=r"there is no .*missing\.csv"):
        reading("missing.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(NasplugError, match="must have a column 'Sub-network'"):
        reading("other.csv")
    own(tmp_path / "few.csv", space, n=5)
    with pytest.raises(NasplugError, match="at least 20"):
        reading("few.csv")
    (tmp_path / "alien.csv").write_text(HEADER + '0,ok,1,2,"[9,9]","{}",0.1,\n')
    with pytest.raises(NasplugError, match="line 2 is not of this space"):
        reading("alien.csv")
    (tmp_path / "dynast.csv").write_text("Sub-network,MACs\n\"{'ks': 3}\",5\n")
    with pytest.raises(NasplugError, match="line 2 is not of this space"):
        reading("dynast.csv")
    assert Surrogate(space, SVR()).metrics == {}
