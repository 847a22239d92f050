"""Numbers are what their declarations say, wherever a part comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typeguard

from nasplug import (
    NasplugError,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    UnitInterval,
)
from nasplug.plugins.building import build
from nasplug.plugins.checking import check_value

NAN, INF = float("nan"), float("inf")


@dataclass(frozen=True)
class Ge:
    """As in annotated-types, which is not installed here."""

    ge: float


RIGHT = [
    (1, PositiveInt), (0, NonNegativeInt), (0, NonNegativeFloat), (1e-9, PositiveFloat),
    (0, UnitInterval), (1, UnitInterval), (0.5, UnitInterval), (None, PositiveInt | None),
    (3, PositiveInt | None), ("x", PositiveInt | str), ([1, 2], Sequence[PositiveInt]),
    ((1, 2), tuple[PositiveInt, ...]), ({"a": 1}, Mapping[str, PositiveInt]), (True, bool),
    (INF, Annotated[float, Range(finite=False)]), (3, Annotated[int, Ge(3)]), (2, float),
    (0.999, Annotated[float, Range(ge=0, lt=1)]), ({"a": [1.0]}, Any), (True, Any),
]  # fmt: skip
WRONG = [
    (0, PositiveInt, "at least 1"), (-1, NonNegativeInt, "at least 0"), (1.5, PositiveInt, "int"),
    (-1e-9, NonNegativeFloat, "at least 0"), (0, PositiveFloat, "above 0"),
    (1.001, UnitInterval, "at least 0 and at most 1"), (-0.1, UnitInterval, "at least 0"),
    (NAN, UnitInterval, "at least 0"), (NAN, float, "finite"), (INF, float, "finite"),
    (-INF, float | None, "finite"), (NAN, Annotated[float, Range(finite=False, ge=0)], "at least 0"),
    (True, int, "int"), (False, float, "float"), (True, PositiveInt, "int"),
    (0, PositiveInt | None, "at least 1, or None"), ([1, 0], Sequence[PositiveInt], "at least 1"),
    ((1, 2, -3), tuple[PositiveInt, ...], "at least 1"), ("1", PositiveInt, "int"),
    ({"a": 0}, Mapping[str, PositiveInt], "at least 1"), ({"a": [1.0, NAN]}, Any, "finite"),
    (2, Annotated[int, Ge(3)], "at least 3"), (1, Annotated[float, Range(ge=0, lt=1)], "below 1"),
    (NAN, Any, "finite"), ([True], list[int], "int"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "hint"), RIGHT)
def test_right(value, hint):
    check_value("it", value, hint)


@pytest.mark.parametrize(("value", "hint", "words"), WRONG)
def test_wrong(value, hint, words):
    with pytest.raises(NasplugError, match=r"^it must be ") as caught:
        check_value("it", value, hint)
    assert words in str(caught.value) and "got" in str(caught.value)


def test_what_others_do_with_typeguard_stays():
    typeguard.check_type(True, int)
    typeguard.check_type(0, PositiveInt)


class Part:
    """With a part inside, which Hydra builds."""

    def __init__(self, rate: UnitInterval = 0.5, inner: Any = None) -> None:
        self.rate, self.inner = rate, inner


@pytest.mark.parametrize("rate", [NAN, 2, True, "x", None])
def test_parts_and_the_parts_within(rate, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ranged", sys.modules[Part.__module__])
    target = {"_target_": "ranged.Part"}
    assert build(target | {"inner": target | {"rate": 1}}).inner.rate == 1
    for node in (target | {"rate": rate}, target | {"inner": target | {"rate": rate}}):
        with pytest.raises(
            NasplugError, match=r"rate of Part must be float, at least 0 and at most"
        ):
            build(node)
