"""A part is known by its description alone: nothing that tells two apart may be missing."""

import enum
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from light import LightEvaluator, LightSpace, LightStrategy

from nasplug import NasplugError, describe, search
from nasplug.plugins.building import build
from nasplug.testing import ToyTask, check_described


class Forgetful(ToyTask):
    """Two of these differ in what is not to be seen."""

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__()
        self._noise = noise


class Holder:
    """Holds anything."""

    def __init__(self, it=None) -> None:
        self.it = it


class Bare:
    """Has no constructor."""


@dataclass(frozen=True)
class Frozen:
    """Has a written constructor."""

    n: int = 1


class Colour(enum.Enum):
    RED = 1


WRONG = [
    lambda x: x, len, partial(int, base=2), np.zeros(3), torch.zeros(2), torch.nn.Linear(2, 2),
    object(), {1, 2}, b"bytes", 1j, torch.device("cpu"), np.random.default_rng(0), open, Colour.RED,
    [1, lambda: 0], {"a": np.zeros(2)}, Holder(lambda: 0), "".join, np, iter([1]), Forgetful(1.0),
]  # fmt: skip
RIGHT = [
    (3, 3), (True, True), (None, None), (0.5, 0.5), ("x", "x"), ((1, (2,)), [1, [2]]),
    ({"a": (1,)}, {"a": [1]}), (np.int64(3), 3), (np.float32(0.5), 0.5), (Path("a/b"), "a/b"),
    (int, "builtins.int"), (Frozen(2), {"_target_": f"{__name__}.Frozen", "n": 2}),
    (Bare(), {"_target_": f"{__name__}.Bare"}),
]  # fmt: skip


def test_an_argument_that_is_not_kept_is_named():
    with pytest.raises(NasplugError, match="Forgetful must keep its argument 'noise'"):
        describe(Forgetful(0.5))


def test_such_a_part_is_not_built(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "forgetful", sys.modules[__name__])
    with pytest.raises(NasplugError, match="Forgetful must keep its argument 'noise'"):
        build({"_target_": "forgetful.Forgetful", "noise": 0.5})


def test_such_a_part_is_not_searched_with(tmp_path):
    with pytest.raises(NasplugError, match="Forgetful must keep its argument 'noise'"):
        search(LightSpace(), LightEvaluator(), LightStrategy(), ["good"], 5, task=Forgetful(0.5),
               run=tmp_path / "r")  # fmt: skip


def test_the_suites_find_it():
    with pytest.raises(NasplugError, match="noise"):
        check_described(Forgetful())
    check_described(ToyTask())

    class Changing(ToyTask):
        def __init__(self, columns: int = 6) -> None:
            super().__init__(columns + 1)

    with pytest.raises(AssertionError):
        check_described(Changing())


@pytest.mark.parametrize("value", WRONG, ids=lambda v: type(v).__name__)
def test_what_has_no_description_is_named(value):
    with pytest.raises(NasplugError, match=r"it(\[.*\])? of Holder|noise") as caught:
        describe(Holder(value))
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize(("value", "expected"), RIGHT, ids=lambda v: type(v).__name__)
def test_what_has_one(value, expected):
    found = describe(Holder(value))["it"]
    assert found == expected and type(found) is type(expected)
