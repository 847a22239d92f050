"""Wrong calls of the public Python interface; as a script, a table of how each ends.

python tests/attacks/python_calls.py
"""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

import nasplug
from nasplug import Evaluator, Measurement, NasplugError, describe, load, make, open_run, search
from nasplug.testing import ToyEvaluator, ToySpace, ToyTask

NAN, INF = float("nan"), float("inf")


class Costly(ToyEvaluator):
    """Must never be asked: what is wrong is seen before anything is measured."""

    def evaluate(self, trials, names):
        raise AssertionError("it was measured")


class Untyped(Evaluator):
    """Keeps nothing of what it is given."""

    metrics = ToyEvaluator.metrics

    def __init__(self, secret=1):
        self._secret = secret

    def evaluate(self, trials, names):
        archs = [trial.arch for trial in trials]
        return [Measurement({name: 1.0 for name in names}) for _ in archs]


SPACE = ToySpace()


def go(**wrong):
    """A search with some arguments wrong."""
    right = {
        "space": SPACE,
        "evaluator": Costly(),
        "strategy": make("strategy", "random"),
        "objectives": ["score", "cost"],
        "budget": 5,
    }
    return search(**{**right, **wrong})


@cache
def done():
    """A run to ask wrong things of."""
    space = ToySpace()
    parts = [ToyEvaluator(), make("evaluator", "costs", space=space)]
    return search(space, parts, make("strategy", "random"), ["score", "cost"], 12, also=["macs"])


def rng():
    return np.random.default_rng(0)


def box(**wrong):
    right = {"score": 0.0, "cost": 100.0}
    return done().hypervolume({**right, **wrong}, {"score": 10.0, "cost": 0.0})


CALLS: dict[str, Callable[[], object]] = {
    # ---- search: parts ---------------------------------------------------------------------------
    "strategy by name": lambda: go(strategy="random"),
    "strategy None": lambda: go(strategy=None),
    "strategy a class": lambda: go(strategy=type(make("strategy", "random"))),
    "strategy a function": lambda: go(strategy=lambda n: []),
    "strategy an evaluator": lambda: go(strategy=ToyEvaluator()),
    "space by name": lambda: go(space="ofa_mbv3"),
    "space None": lambda: go(space=None),
    "space a class": lambda: go(space=ToySpace),
    "space a list": lambda: go(space=[1, 2, 3]),
    "space a network": lambda: go(space=SPACE.build(SPACE.smallest)),
    "evaluator a lambda": lambda: go(evaluator=lambda arch: 1.0),
    "evaluator by name": lambda: go(evaluator="costs"),
    "evaluator None": lambda: go(evaluator=None),
    "evaluator a class": lambda: go(evaluator=ToyEvaluator),
    "evaluators none": lambda: go(evaluator=[]),
    "evaluators names": lambda: go(evaluator=["supernet", "costs"]),
    "evaluators a dict": lambda: go(evaluator={"score": Costly()}),
    "evaluators one None": lambda: go(evaluator=[Costly(), None]),
    "evaluators a class": lambda: go(evaluator=[Costly(), ToyEvaluator]),
    "evaluators nested": lambda: go(evaluator=[[Costly()]]),
    "evaluator that keeps nothing": lambda: go(evaluator=Untyped()),
    "task by name": lambda: go(task="digits"),
    "task a class": lambda: go(task=ToyTask),
    "executor by name": lambda: go(executor="processes"),
    "executor a number": lambda: go(executor=2),
    "executor a class": lambda: go(executor=type(make("executor", "serial"))),
    # ---- search: objectives and limits -----------------------------------------------------------
    "objectives a name": lambda: go(objectives="score"),
    "objectives empty": lambda: go(objectives=[]),
    "objectives a dict": lambda: go(objectives={"score": "maximize"}),
    "objectives a set": lambda: go(objectives={"score", "cost"}),
    "objectives a number": lambda: go(objectives=3),
    "objectives None within": lambda: go(objectives=["score", None]),
    "objectives nested": lambda: go(objectives=[["score"]]),
    "objectives twice": lambda: go(objectives=["score", "score"]),
    "objectives unknown": lambda: go(objectives=["skore", "cost"]),
    "objectives missing macs": lambda: go(objectives=None),
    "also a name": lambda: go(also="cost"),
    "also None": lambda: go(also=None),
    "also unknown": lambda: go(also=["latency"]),
    "also a number": lambda: go(also=[3]),
    "constraints a number": lambda: go(constraints=5),
    "constraints a list": lambda: go(constraints=["cost"]),
    "constraints a text": lambda: go(constraints="cost<3"),
    "constraints a pair": lambda: go(constraints={"cost": (0, 3)}),
    "constraints a bare number": lambda: go(constraints={"cost": 3}),
    "constraints none of it": lambda: go(constraints={"cost": {}}),
    "constraints misspelt": lambda: go(constraints={"cost": {"maximum": 3}}),
    "constraints unknown": lambda: go(constraints={"latency": {"max": 3}}),
    "constraints nan": lambda: go(constraints={"cost": {"max": NAN}}),
    "constraints infinite": lambda: go(constraints={"cost": {"max": INF}}),
    "constraints a text limit": lambda: go(constraints={"cost": {"max": "3"}}),
    "constraints a bool": lambda: go(constraints={"cost": {"max": True}}),
    "constraints complex": lambda: go(constraints={"cost": {"max": 1j}}),
    "constraints crossed": lambda: go(constraints={"cost": {"min": 80, "max": 20}}),
    "constraints no name": lambda: go(constraints={3: {"max": 3}}),
    # ---- search: numbers and places --------------------------------------------------------------
    "budget 0": lambda: go(budget=0),
    "budget negative": lambda: go(budget=-1),
    "budget a fraction": lambda: go(budget=2.5),
    "budget a float": lambda: go(budget=100.0),
    "budget a text": lambda: go(budget="100"),
    "budget None": lambda: go(budget=None),
    "budget True": lambda: go(budget=True),
    "budget nan": lambda: go(budget=NAN),
    "seed negative": lambda: go(seed=-1),
    "seed a text": lambda: go(seed="0"),
    "seed None": lambda: go(seed=None),
    "seed a float": lambda: go(seed=1.0),
    "seed True": lambda: go(seed=True),
    "run a number": lambda: go(run=5),
    "run a list": lambda: go(run=["a"]),
    "run empty": lambda: go(run=""),
    "run with a zero byte": lambda: go(run="a\0b"),
    "storage a number": lambda: go(storage=5),
    "config a text": lambda: go(config="config.yaml"),
    # ---- make and choices ------------------------------------------------------------------------
    "choices unknown": lambda: nasplug.choices("spaces"),
    "choices None": lambda: nasplug.choices(None),
    "choices a list": lambda: nasplug.choices(["space"]),
    "make unknown group": lambda: make("strategies", "linas"),
    "make unknown choice": lambda: make("strategy", "linus"),
    "make None": lambda: make("strategy", None),
    "make a list": lambda: make("strategy", ["random", "linas"]),
    "make an override": lambda: make("strategy", "random batch=3"),
    "make a path": lambda: make("strategy", "../strategy/random"),
    "make unknown argument": lambda: make("strategy", "random", bach=3),
    "make a wrong type": lambda: make("strategy", "random", batch="three"),
    "make a bool": lambda: make("evaluator", "costs", space=SPACE, threads=True),
    "make out of range": lambda: make("evaluator", "costs", space=SPACE, threads=0),
    "make nan": lambda: make("evaluator", "costs", space=SPACE, seconds=NAN),
    "make without its space": lambda: make("evaluator", "costs"),
    "make with a space by name": lambda: make("evaluator", "costs", space="ofa_mbv3"),
    "make with a class": lambda: make("evaluator", "costs", space=ToySpace),
    "make a mode": lambda: make("mode", "search"),
    # ---- a run -----------------------------------------------------------------------------------
    "best None": lambda: done().best(None),
    "best a superscript": lambda: done().best("³"),
    "best a float": lambda: done().best(1.5),
    "best True": lambda: done().best(True),
    "best negative": lambda: done().best(-1),
    "best too large": lambda: done().best(10**6),
    "best a digit too many": lambda: done().best("9" * 5000),
    "best unknown": lambda: done().best("skore"),
    "best empty": lambda: done().best(""),
    "best a dict": lambda: done().best({"score": 1}),
    "best only recorded": lambda: done().best("macs"),
    "best under a number": lambda: done().best("knee", under=3),
    "best under misspelt": lambda: done().best("knee", under={"cost": {"maximum": 1}}),
    "best under unknown": lambda: done().best("knee", under={"latency": {"max": 1}}),
    "best under nan": lambda: done().best("knee", under={"cost": {"max": NAN}}),
    "best under crossed": lambda: done().best("knee", under={"cost": {"max": 1, "min": 2}}),
    "best under impossible": lambda: done().best("knee", under={"cost": {"max": -1}}),
    "export too short": lambda: done().export([0, 0], "there"),
    "export floats": lambda: done().export((0.0, 1.0, 2.0, 0.0), "there"),
    "export out of range": lambda: done().export((99, 0, 0, 0), "there"),
    "export unmeasured": lambda: done().export(unmeasured(), "there"),
    "export nowhere": lambda: done().export("knee"),
    "export to a number": lambda: done().export("knee", 3),
    "export to nothing": lambda: done().export("knee", ""),
    "export in another format": lambda: done().export("knee", "there", format="pickle"),
    "export what has no weights": lambda: done().export("knee", "there"),
    "hypervolume a number": lambda: done().hypervolume(1, 2),
    "hypervolume a metric short": lambda: done().hypervolume({"score": 0}, {"score": 1}),
    "hypervolume nan": lambda: box(score=NAN),
    "hypervolume a text": lambda: box(score="0"),
    "hypervolume turned round": lambda: box(score=20.0),
    "hypervolume flat": lambda: box(cost=0.0),
    # ---- spaces ----------------------------------------------------------------------------------
    "build out of range": lambda: SPACE.build((99,) * 4),
    "build negative": lambda: SPACE.build((0, 0, 0, -1)),
    "build too short": lambda: SPACE.build((0,)),
    "build too long": lambda: SPACE.build((0,) * 9),
    "build floats": lambda: SPACE.build((0.0, 0.0, 0.0, 0.0)),
    "build an array of floats": lambda: SPACE.build(np.zeros(4)),
    "build many": lambda: SPACE.build(np.zeros((2, 4), int)),
    "build None": lambda: SPACE.build(None),
    "build a text": lambda: SPACE.build("0000"),
    "build a config": lambda: SPACE.build({"depth": 1}),
    "build bools": lambda: SPACE.build((True, False, True, False)),
    "config too short": lambda: SPACE.config((0,)),
    "config None": lambda: SPACE.config(None),
    "config out of range": lambda: SPACE.config((0, 0, 0, 3)),
    "arch None": lambda: SPACE.arch(None),
    "arch a tuple": lambda: SPACE.arch((0, 0, 0, 0)),
    "arch unknown": lambda: SPACE.arch({"deph": 1}),
    "arch not an option": lambda: SPACE.arch({"depth": 9}),
    "arch an array": lambda: SPACE.arch({"depth": np.array([1, 2])}),
    "arch a number": lambda: SPACE.arch({1: 1}),
    "canonical one": lambda: SPACE.canonical((0, 0, 0, 0)),
    "canonical ragged": lambda: SPACE.canonical([(0, 0), (0, 0, 0, 0)]),
    "canonical floats": lambda: SPACE.canonical(np.full((2, 4), 0.7)),
    "canonical None": lambda: SPACE.canonical(None),
    "canonical out of range": lambda: SPACE.canonical([(0, 0, 0, 0), (0, 0, 0, 7)]),
    "active too long": lambda: SPACE.active([(0,) * 5]),
    "features negative": lambda: SPACE.features([(-1, 0, 0, 0)]),
    "is_valid a number": lambda: SPACE.is_valid(3),
    "costs too short": lambda: SPACE.costs([(0, 0)]),
    "costs out of range": lambda: SPACE.costs([(0, 0, 0, 9)]),
    "costs objects": lambda: SPACE.costs([(0, 0, 0, None)]),
    "neighbours out of range": lambda: SPACE.neighbours((9, 0, 0, 0)),
    "valid floats": lambda: SPACE.valid([(0.5, 0.0, 0.0, 0.0)]),
    "sample negative": lambda: SPACE.sample(-1, rng()),
    "sample a float": lambda: SPACE.sample(1.5, rng()),
    "sample a seed": lambda: SPACE.sample(1, 0),
    "sample None": lambda: SPACE.sample(None, rng()),
    # ---- files and descriptions ------------------------------------------------------------------
    "load nothing": lambda: load("nowhere"),
    "load None": lambda: load(None),
    "load a number": lambda: load(3),
    "load allowing a name": lambda: load(exported(), allow="my_package"),
    "open_run nothing": lambda: open_run("nowhere"),
    "open_run None": lambda: open_run(None),
    "open_run a run": lambda: open_run(done()),
    "describe a number": lambda: describe(3),
    "describe a class": lambda: describe(ToySpace),
    "describe a lambda": lambda: describe(lambda: 0),
    "describe what keeps nothing": lambda: describe(Untyped()),
}
TYPE_ERRORS: dict[str, Callable[[], object]] = {
    "search nothing": lambda: search(),
    "search too many": lambda: search(1, 2, 3, 4, 5, 6, 7),
    "search misspelt": lambda: go(bugdet=3),
    "make one argument": lambda: make("space"),
    "best too many": lambda: done().best("knee", {}, 3),
}
"""A wrong number of arguments, or a misspelt one: as Python itself says."""


def unmeasured():
    measured = {record.arch for record in done().records}
    every = SPACE.valid(SPACE.enumerate())
    return next(arch for arch in every if arch not in measured)


@cache
def exported():
    folder = Path(tempfile.mkdtemp())
    (folder / "network.json").write_text('{"space": {}, "architecture": []}')
    (folder / "weights.safetensors").touch()
    return folder


def outcome(call: Callable[[], object]) -> str:
    """How a call ends: "ok: .." only for one clear line."""
    try:
        call()
    except NasplugError as error:
        text = str(error)
        fault = "long" if len(text) > 400 else "lines" if "\n" in text else ""
        fault = "an address" if " at 0x" in text else fault
        return f"{fault}: {text}" if fault else f"ok: {text}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


if __name__ == "__main__":
    ends = {name: outcome(call) for name, call in CALLS.items()}
    for name, end in ends.items():
        print(f"{name:32} {end}")
    print(
        f"{sum(end.startswith('ok: ') for end in ends.values())} of {len(ends)} in one clear line"
    )
