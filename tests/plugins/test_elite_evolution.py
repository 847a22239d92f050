"""The evolutionary search of once-for-all and HAT: who is bred from whom, and what limits allow."""

from dataclasses import replace

import numpy as np
import pytest
from asking import ask, tell
from nasplug_strategies.evolution.elite_evolution import EliteEvolution
from nasplug_strategies.evolution.within_limits import sample_within_limits, within_limits

from nasplug import Constraint, NasplugError, Objective, Problem, SearchSpace, Variable
from nasplug.testing import ToySpace


class Digits(SearchSpace):
    """Thirty digits; their sum is a cost."""

    variables = tuple(Variable(f"digit{i}", tuple(range(10))) for i in range(30))

    def build(self, arch):
        raise AssertionError("nothing is built")

    def example_inputs(self, batch_size):
        raise AssertionError("nothing is run")

    def costs(self, archs):
        return {"sum": np.asarray(archs, float).sum(axis=1)}


LOSS = Objective("loss", "", "minimize")
TARGET = np.arange(30) % 10


def problem(limit=None, **changes):
    limits = () if limit is None else (Constraint("sum", max=limit),)
    return Problem(Digits(), (LOSS,), limits, closed_form=("sum",), **changes)


def values(problem, archs):
    """Distance to `TARGET`, and the sum where it is limited."""
    genes = np.array(archs)
    columns = {"loss": np.abs(genes - TARGET).sum(axis=1), "sum": genes.sum(axis=1)}
    return np.column_stack([columns[name] for name in problem.metrics]).astype(float)


def generations(strategy, problem, count):
    """The architectures of each generation, and their values."""
    strategy.setup(problem)
    found = []
    for _ in range(count):
        archs = list(ask(strategy, 10_000))
        found.append((archs, values(problem, archs)))
        tell(strategy, problem, *found[-1])
    return found


def test_the_sizes_are_those_of_hat():
    sizes = [len(archs) for archs, _ in generations(EliteEvolution(), problem(), 3)]
    assert sizes == [125, 100, 100]


def best(history, count):
    """The best of all seen."""
    archs = [a for archs, _ in history for a in archs]
    losses = np.concatenate([rows[:, 0] for _, rows in history])
    return np.array(archs)[np.argsort(losses, kind="stable")[:count]]


def test_mutants_then_crossovers_of_the_best_of_all_seen():
    strategy = EliteEvolution(population=100, parents=20, mutants=40, crossovers=30)
    history = generations(strategy, problem(), 4)
    losses = np.sort(np.concatenate([rows[:, 0] for _, rows in history[:3]]))
    assert losses[19] < losses[20], "a tie would leave open who is a parent"
    parents = best(history[:3], 20)
    children = np.array(history[3][0])
    assert len(children) == 70
    # every gene of a crossover is that of one of two parents; no mutant is such a mixture
    from_one = (children[:, None] == parents[None]).sum(axis=2)
    pairs = (children[:, None, None] == parents[None, :, None]) | (
        children[:, None, None] == parents[None, None]
    )
    explained = pairs.all(axis=-1).any(axis=(1, 2))
    assert explained[40:].all() and not explained[:40].any()
    # each of 30 genes is drawn anew with probability .3, and is another in 9 of 10 cases
    changed = 30 - from_one[:40].max(axis=1)
    assert 7 <= changed.mean() <= 9


def test_every_one_keeps_a_limit_that_can_be_computed():
    limited = problem(limit=110.0)
    drawn = limited.space.sample(1000, np.random.default_rng(1))
    assert 0.03 < np.mean(drawn.sum(axis=1) <= 110) < 0.15
    history = generations(EliteEvolution(population=50), limited, 5)
    assert [len(archs) for archs, _ in history] == [50, 40, 40, 40, 40]
    assert max(sum(arch) for archs, _ in history for arch in archs) <= 110


def test_a_limit_that_hardly_anything_keeps_is_climbed_to():
    limited = problem(limit=12.0)
    found = sample_within_limits(limited, 5, np.random.default_rng(0))
    assert len(set(found)) == 5 and within_limits(limited, found).all()
    (archs, _), *_ = generations(EliteEvolution(population=5), limited, 1)
    assert len(archs) == 5 and max(map(sum, archs)) <= 12


def test_a_limit_that_nothing_keeps_ends_the_search():
    strategy = EliteEvolution(population=5)
    strategy.setup(problem(limit=-1.0))
    assert not list(strategy.ask(5))


def test_all_within_a_limit_are_found_in_a_small_space():
    space = ToySpace(layers=4)
    costs = space.costs(space.enumerate())["params"]
    limit = float(np.median(costs))
    goals = (Objective("macs", "", "minimize"),)
    few = Problem(space, goals, (Constraint("params", max=limit),), closed_form=("macs", "params"))
    strategy, asked = EliteEvolution(population=8), []
    strategy.setup(few)
    while archs := list(ask(strategy, 100)):
        rows = space.costs(archs)
        tell(strategy, few, archs, np.column_stack([rows["macs"], rows["params"]]))
        asked += archs
    assert len(set(asked)) == len(asked) == (costs <= limit).sum()


def test_a_measured_limit_makes_no_parent_of_what_breaks_it():
    measured = replace(problem(limit=110.0), closed_form=())
    history = generations(EliteEvolution(population=50, mutation_rate=0.1), measured, 12)
    late = [sum(arch) for archs, _ in history[-2:] for arch in archs]
    assert np.mean(np.array(late) <= 110) > 0.5


def test_finds_nearer_ones_than_random_search():
    history = generations(EliteEvolution(population=50, mutation_rate=0.1), problem(), 40)
    count = sum(len(archs) for archs, _ in history)
    drawn = problem().space.sample(count, np.random.default_rng(0))
    found = min(rows[:, 0].min() for _, rows in history)
    assert found <= 10 < np.abs(drawn - TARGET).sum(axis=1).min()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parents": 1}, "parents must be at least 2 or null, but got 1"),
        ({"mutants": 0, "crossovers": 0}, "at least 1, but both are 0"),
        ({"mutation_rate": 2.0}, r"mutation_rate must be in 0\.\.1"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(NasplugError, match=message):
        EliteEvolution(**settings)
