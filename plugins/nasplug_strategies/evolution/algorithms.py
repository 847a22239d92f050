"""Which evolutionary algorithms there are, and what each can do: one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf

from nasplug import NasplugError, Problem
from nasplug.contracts.errors import unknown
from nasplug_strategies.evolution import pymoo_algorithms
from nasplug_strategies.evolution.engine import Engine, Parts
from nasplug_strategies.evolution.nsga2 import NSGA2
from nasplug_strategies.evolution.pymoo_engine import PymooEngine


@dataclass(frozen=True)
class Setting:
    """A knob of one algorithm: its default, and the least and the greatest value allowed."""

    default: float
    least: float
    most: float = inf


@dataclass(frozen=True)
class AlgorithmSpec:
    """How to build an algorithm, and what it can do.

    `least` to `most` objectives. `settings`: its own knobs, beyond those that all share.
    `one_for_one`: a generation has exactly as many children as the population.
    """

    build: Callable[[Parts], Engine]
    least: int = 2
    most: int | None = None
    constraints: bool = True
    one_for_one: bool = False
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def can(self, problem: Problem) -> bool:
        """Whether it solves problems of this kind."""
        n = len(problem.objectives)
        return (
            self.least <= n
            and (self.most is None or n <= self.most)
            and (self.constraints or not problem.constraints)
        )


def _pymoo(name: str, constraints: bool = True) -> Callable[[Parts], Engine]:
    build = getattr(pymoo_algorithms, name)
    return partial(PymooEngine, build=build, constraints=constraints)


ALGORITHMS: dict[str, AlgorithmSpec] = {
    "nsga2": AlgorithmSpec(NSGA2, least=1),
    "nsga3": AlgorithmSpec(_pymoo("nsga3")),
    "unsga3": AlgorithmSpec(_pymoo("unsga3")),
    "agemoea": AlgorithmSpec(_pymoo("agemoea")),
    "agemoea2": AlgorithmSpec(_pymoo("agemoea2")),
    "smsemoa": AlgorithmSpec(_pymoo("smsemoa")),
    "spea2": AlgorithmSpec(_pymoo("spea2")),
    "ga": AlgorithmSpec(_pymoo("ga"), least=1, most=1),
    "ctaea": AlgorithmSpec(_pymoo("ctaea"), one_for_one=True),
    "moead": AlgorithmSpec(
        _pymoo("moead", constraints=False),
        constraints=False,
        one_for_one=True,
        settings={"neighbours": Setting(20, 2), "neighbour_mating": Setting(0.9, 0, 1)},
    ),
    "rvea": AlgorithmSpec(
        _pymoo("rvea"),
        settings={
            "generations": Setting(40, 1),
            "alpha": Setting(2.0, 0),
            "adapt": Setting(0.1, 0.001, 1),
        },
    ),
}


def settings(algorithm: str, given: Mapping[str, float]) -> dict[str, float]:
    """The algorithm's own knobs with what is `given`; an error if it is unknown or out of range."""
    known = ALGORITHMS[algorithm].settings
    for name, value in given.items():
        if name not in known:
            raise unknown(f"setting of {algorithm}", name, known)
        if not known[name].least <= value <= known[name].most:
            raise NasplugError(
                f"{name} of {algorithm} must be in {known[name].least}..{known[name].most}, but got "
                f"{value}"
            )
    return {**{name: setting.default for name, setting in known.items()}, **given}


def check(algorithm: str, problem: Problem) -> None:
    """An error that names the algorithms that can, if this one cannot solve the problem."""
    if not ALGORITHMS[algorithm].can(problem):
        n = len(problem.objectives)
        what = f"{n} objective{'s' * (n > 1)}" + " under constraints" * bool(problem.constraints)
        able = ", ".join(sorted(name for name, spec in ALGORITHMS.items() if spec.can(problem)))
        raise NasplugError(
            f"{algorithm} cannot search for {what}; these can: {able}. Type e.g. +strategy=nsga2"
        )
