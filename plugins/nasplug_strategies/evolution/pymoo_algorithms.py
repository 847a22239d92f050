"""How pymoo's algorithms are built, on discrete operators."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.algorithms.moo.ctaea import CTAEA, RestrictedMating, comp_by_cv_dom_then_random
from pymoo.algorithms.moo.moead import ParallelMOEAD
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.rvea import RVEA
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.algorithms.moo.spea2 import SPEA2, SPEA2Survival
from pymoo.algorithms.moo.unsga3 import UNSGA3
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.algorithm import Algorithm
from pymoo.core.population import Population
from pymoo.termination.max_gen import MaximumGenerationTermination

from nasplug.contracts.types import FloatArray, IntArray
from nasplug_strategies.evolution.age_moea import (
    AgeSurvival,
    chord,
    exact_curvature,
    geodesic,
    middle_curvature,
)
from nasplug_strategies.evolution.engine import Parts
from nasplug_strategies.evolution.pymoo_engine import (
    Mating,
    Select,
    at_random,
    niche_tournament,
    tournament,
)


def nsga3(parts: Parts, first: Population) -> Algorithm:
    """NSGA-III (Deb and Jain 2014)."""
    return NSGA3(_directions(parts), **_genetic(parts, first, tournament()))


def unsga3(parts: Parts, first: Population) -> Algorithm:
    """U-NSGA-III (Seada and Deb 2016)."""
    return UNSGA3(_directions(parts), **_genetic(parts, first, niche_tournament))


def agemoea(parts: Parts, first: Population) -> Algorithm:
    """AGE-MOEA (Panichella 2019)."""
    return _age(parts, first, AgeSurvival(middle_curvature, chord))


def agemoea2(parts: Parts, first: Population) -> Algorithm:
    """AGE-MOEA-II (Panichella 2022)."""
    return _age(parts, first, AgeSurvival(exact_curvature, geodesic))


def _age(parts: Parts, first: Population, survival: AgeSurvival) -> Algorithm:
    shared = _genetic(parts, first, tournament("rank", "-crowding"))
    return GeneticAlgorithm(survival=survival, advance_after_initial_infill=True, **shared)


def smsemoa(parts: Parts, first: Population) -> Algorithm:
    """SMS-EMOA (Beume, Naujoks, Emmerich 2007)."""
    return SMSEMOA(**_genetic(parts, first, tournament("rank")))


def spea2(parts: Parts, first: Population) -> Algorithm:
    """SPEA2 (Zitzler, Laumanns, Thiele 2001). Its survival remembers, so each search has its own."""
    survival = SPEA2Survival(normalize=True)
    return SPEA2(survival=survival, **_genetic(parts, first, tournament("SPEA_F")))


def ga(parts: Parts, first: Population) -> Algorithm:
    """A genetic algorithm with an elite, for one objective."""
    return GA(**_genetic(parts, first, tournament("F")))


def moead(parts: Parts, first: Population) -> Algorithm:
    """MOEA/D (Zhang and Li 2007), a generation at a time."""
    return ParallelMOEAD(
        n_neighbors=int(min(parts.settings["neighbours"], parts.population)),
        prob_neighbor_mating=parts.settings["neighbour_mating"],
        **_directed(parts, first, at_random),
    )


def ctaea(parts: Parts, first: Population) -> Algorithm:
    """C-TAEA (Li, Chen, Fu, Yao 2019).

    One of its two archives ignores constraints, for diversity, and children are bred from both: it
    asks for infeasible architectures more often than the others do.
    """
    restricted = RestrictedMating(func_comp=comp_by_cv_dom_then_random)

    def select(pop: Population, n: int, rng: np.random.Generator) -> IntArray:
        return np.asarray(restricted.do(None, pop, n, 2, to_pop=False, random_state=rng), np.int64)

    return CTAEA(**_directed(parts, first, select))


def rvea(parts: Parts, first: Population) -> Algorithm:
    """RVEA (Cheng, Jin, Olhofer, Sendhoff 2016)."""
    return RVEA(
        alpha=parts.settings["alpha"],
        adapt_freq=parts.settings["adapt"],
        n_offsprings=parts.offspring,
        termination=MaximumGenerationTermination(int(parts.settings["generations"])),
        **_directed(parts, first, at_random),
    )


def _genetic(parts: Parts, first: Population, select: Select) -> dict[str, Any]:
    """The arguments of algorithms whose population has a size of its own."""
    return {
        "pop_size": parts.population,
        "n_offsprings": parts.offspring,
        "sampling": first,
        "eliminate_duplicates": False,
        "mating": Mating(parts, select),
    }


def _directed(parts: Parts, first: Population, select: Select) -> dict[str, Any]:
    """The arguments of algorithms with one individual a reference direction."""
    return {
        "ref_dirs": _directions(parts),
        "sampling": first,
        "mating": Mating(parts, select),
    }


def _directions(parts: Parts) -> FloatArray:
    return reference_directions(parts.objectives, parts.population)


@cache
def reference_directions(objectives: int, n: int) -> FloatArray:
    """`n` points spread over the unit simplex, shape (n, objectives): the axes first, then always
    the point of a fine lattice (Das and Dennis 1998) that is farthest from those chosen.

    Any number of them, at once; the minimum of the Riesz s-energy that the paper's Table 4 names is
    as even and takes seconds.
    """
    if objectives == 2:
        share = np.linspace(0, 1, n)
        return np.column_stack([share, 1 - share])
    parts = 1
    while len(lattice := _lattice(objectives, parts)) < 10 * n:
        parts += 1
    chosen = list(np.argmax(lattice, axis=0))[:n]
    gap = np.linalg.norm(lattice[:, None] - lattice[chosen], axis=2).min(axis=1)
    while len(chosen) < n:
        chosen.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.linalg.norm(lattice - lattice[chosen[-1]], axis=1))
    return lattice[chosen]


def _lattice(objectives: int, parts: int) -> FloatArray:
    """Every way to share `parts` equal parts among the objectives, as fractions."""
    bars = np.array(list(combinations(range(parts + objectives - 1), objectives - 1)))
    edges = np.column_stack(
        [np.full(len(bars), -1), bars, np.full(len(bars), parts + objectives - 1)]
    )
    return (np.diff(edges, axis=1) - 1) / parts
