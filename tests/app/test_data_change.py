"""A run goes on with the data that it began with, or says that these are others."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from nasplug_proxies.evaluator import Proxies
from PIL import Image
from proxy_parts import Images, Stripes

import nasplug
from nasplug import NasplugError, search
from nasplug.testing import ToyEvaluator, ToySpace, ToyTask

SPACE = ToySpace()
ON_A_TREE = (
    *("+space=ofa_mbv3", "task=image_folder", "task.path=tree", "task.image_size=32"),
    *("task.workers=0", "+strategy=random", "objectives=[nwot,macs]", "budget=2"),
)


@pytest.fixture
def tree(tmp_path):
    """Two classes of noise, of 8 training and 2 validation images each."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 8), ("val", 2)):
        for kind in ("cat", "dog"):
            folder = tmp_path / "tree" / part / kind
            folder.mkdir(parents=True)
            for k in range(n):
                pixels = rng.integers(0, 255, (32, 32, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{k}.png")
    return tmp_path / "tree"


def swap(folder):
    (folder / "cat").rename(folder / "other")
    (folder / "dog").rename(folder / "cat")
    (folder / "other").rename(folder / "dog")


def change(folder):
    pixels = np.zeros((32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "cat" / "3.png")


@pytest.mark.parametrize("changed", [swap, change])
def test_a_run_on_a_tree_that_changed_is_refused(cli, tree, changed):
    more = ("evaluators.proxies.batch_size=4",)
    status, _, err = cli(*ON_A_TREE, *more)
    assert status == 0, err
    (folder,) = Path("runs").iterdir()
    before = (folder / "results.csv").read_text()
    changed(tree / "train")
    status, _, err = cli(*ON_A_TREE, *more)
    assert status != 0 and "on other data" in err and "20 images of 2 classes" in err
    assert "Traceback" not in err
    assert [f.name for f in Path("runs").iterdir()] == [folder.name]
    assert (folder / "results.csv").read_text() == before


class Points(ToyTask):
    """Its points lie elsewhere when `moved`; nothing in its description says so."""

    moved = 0.0

    def train_batches(self, batch_size, seed, epoch=0):
        for x, y in super().train_batches(batch_size, seed, epoch):
            yield x + self.moved, y


def again(folder, task, budget=3, evaluator=None, objectives=("score", "cost")):
    part, strategy = evaluator or ToyEvaluator(), nasplug.make("strategy", "random")
    return search(SPACE, part, strategy, objectives, budget, task=task, run=folder)


def test_the_same_data_continue_and_others_do_not(tmp_path):
    task = Points()
    again(tmp_path / "a", task)
    assert len(again(tmp_path / "a", Points(), budget=4)) == 4
    task.moved = 1.0
    with pytest.raises(NasplugError, match="on other data"):
        again(tmp_path / "a", task, budget=4)


def test_a_run_without_the_line_continues_and_gets_it(tmp_path):
    again(tmp_path / "a", Points())
    file = tmp_path / "a" / "config.yaml"
    config = yaml.safe_load(file.read_text())
    kept = config.pop("data_fingerprint")
    file.write_text(yaml.safe_dump(config))
    assert len(again(tmp_path / "a", Points(), budget=4)) == 4
    assert yaml.safe_load(file.read_text())["data_fingerprint"] == kept


def test_data_are_not_looked_at_where_costs_alone_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(Points, "data_fingerprint", lambda self: pytest.fail("looked"))
    costs = nasplug.make("evaluator", "costs", space=SPACE)
    again(tmp_path / "a", Points(), evaluator=costs, objectives=("params", "macs"))
    assert "data_fingerprint" not in yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())


def test_kept_scores_are_those_of_the_data(tmp_path):
    class Moved(Stripes):
        def train_batches(self, batch_size, seed, epoch=0):
            for x, y in super().train_batches(batch_size, seed, epoch):
                yield x + 1.0, y

    Moved.__module__, Moved.__qualname__ = Stripes.__module__, Stripes.__qualname__
    archs = [(0, 0), (1, 1)]

    def kept(task, cache):
        part = Proxies(Images(), task, batch_size=8, cache=str(cache))
        return part.scores(archs, "nwot").tolist()

    fresh = kept(Moved(), tmp_path / "fresh")
    old = kept(Stripes(), tmp_path / "shared")
    assert fresh != old and kept(Moved(), tmp_path / "shared") == fresh
