"""DE-NAS's search engines: who is bred from whom, and what limits allow."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from asking import ask, tell
from nasplug_denas.search.evolution import DenasEvolution
from nasplug_denas.search.operators import crossovers, mutants, structural

import nasplug
from nasplug import (
    CandidateScorer,
    Constraint,
    NasplugError,
    Objective,
    Problem,
    SearchSpace,
    Variable,
)
from nasplug.testing import StrategyContract, ToySpace


class TestDenasEvolution(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return DenasEvolution(population=10, parents=6, mutants=5, crossovers=5)


class TestDenasRandom(StrategyContract):
    handles_constraints = False  # on measured metrics: it learns nothing

    @pytest.fixture
    def strategy(self):
        return nasplug.make("strategy", "denas_random", population=10)


DEPTHS = tuple(range(2, 9))


class Layers(SearchSpace):
    """A depth of 2 to 8, a width, and two digits a layer; their sum is a cost."""

    variables = (
        Variable("depth", DEPTHS),
        *(
            Variable(f"{name}{k}", tuple(range(5)), {"depth": DEPTHS[k - 2 :]} if k > 2 else ())
            for name in ("heads", "ratio")
            for k in range(1, 9)
        ),
        Variable("width", tuple(range(9))),
    )

    def build(self, arch):
        raise AssertionError("nothing is built")

    def example_inputs(self, batch_size):
        raise AssertionError("nothing is run")

    def costs(self, archs):
        return {"sum": np.asarray(archs, float).sum(axis=1)}


LOSS = Objective("loss", "", "minimize")


def problem(limits=(), **changes):
    return Problem(Layers(), (LOSS,), tuple(limits), closed_form=("sum",), **changes)


def values(problem, archs):
    """Distance from a target; and the sum, where it is limited."""
    genes = np.array(archs)
    target = np.arange(genes.shape[1]) % 5
    columns = {"loss": np.abs(genes - target).sum(axis=1), "sum": genes.sum(axis=1)}
    return np.column_stack([columns[name] for name in problem.metrics]).astype(float)


def batches(strategy, problem, count):
    strategy.setup(problem)
    found = []
    for _ in range(count):
        archs = list(ask(strategy, 10_000))
        found.append((archs, values(problem, archs)))
        tell(strategy, problem, *found[-1])
    return found


def test_ten_epochs_are_a_thousand_measurements():
    sizes = [len(archs) for archs, _ in batches(DenasEvolution(), problem(), 20)]
    assert sizes == [50, 50] * 10


def test_children_improve_on_random_ones():
    """In the mean of the last epochs; and parents are not the first population alone."""
    found = batches(DenasEvolution(parents=10), problem(), 20)
    random = np.mean([v[:, 0].mean() for _, v in found[-6::2]])
    children = np.mean([v[:, 0].mean() for _, v in found[-5::2]])
    first_children = found[1][1][:, 0].mean()
    assert children < first_children < random


def test_every_gene_of_a_child_is_a_parents_where_both_have_it():
    space, rng = Layers(), np.random.default_rng(0)
    parents = space.sample(2, rng)
    children = space.canonical(crossovers(space, parents, rng, 400))
    on = space.active(children) & space.active(parents).all(axis=0)
    assert ((children == parents[0]) | (children == parents[1]))[on].all()
    differ = np.flatnonzero((parents[0] != parents[1]) & space.active(parents).all(axis=0))
    for j in differ:
        share = (children[:, j] == parents[0, j]).mean()
        assert 0.4 < share < 0.6  # 4 standard deviations


def test_mutation_draws_layers_and_the_whole_at_their_rates():
    space, rng = Layers(), np.random.default_rng(0)
    whole = structural(space, None)
    assert [v.name for v, w in zip(space.variables, whole, strict=True) if w] == ["depth", "width"]
    parent = np.array([space.largest])
    children = mutants(space, parent, np.where(whole, 0.4, 0.2), rng, 6000)
    changed = (children != parent).mean(axis=0)
    options = space.option_counts
    expected = np.where(whole, 0.4, 0.2) * (1 - 1 / options)
    assert np.abs(changed - expected).max() < 0.03


def test_a_layer_that_is_added_is_random():
    space, rng = Layers(), np.random.default_rng(0)
    shallow = np.array([space.smallest])
    children = mutants(space, shallow, np.zeros(len(space.variables)), rng, 500)
    last = [v.name for v in space.variables].index("heads8")
    assert set(children[:, last].tolist()) == set(range(5))
    assert (children[:, 0] == shallow[0, 0]).all()


def test_which_variables_are_structural_may_be_said():
    assert structural(Layers(), ["width"]).sum() == 1
    with pytest.raises(NasplugError, match="unknown design variable 'widht'; did you mean width"):
        DenasEvolution(structure=["widht"]).setup(problem())


def test_limits_are_kept_and_refusals_are_logged(caplog):
    limit = Constraint("sum", max=20)
    with caplog.at_level(logging.INFO):
        found = batches(DenasEvolution(), problem([limit]), 6)
    assert all(v[:, 1].max() <= 20 for _, v in found)
    assert any("drawn so far break a limit" in line for line in caplog.messages)
    refused = [int(m.split("; ")[1].split(" of")[0]) for m in caplog.messages if "epoch" in m]
    assert refused[-1] > refused[0] > 0


def test_a_limit_that_chance_does_not_meet_is_climbed_to():
    limit = Constraint("sum", max=1)
    assert Layers().costs(Layers().sample(500, np.random.default_rng(1)))["sum"].min() > 1
    found = batches(DenasEvolution(population=8), problem([limit]), 1)
    assert found[0][0]
    assert all(v[:, 1].max() <= 1 for _, v in found)


def test_a_limit_that_nothing_keeps_is_an_error():
    strategy = DenasEvolution(population=8)
    strategy.setup(problem([Constraint("sum", max=-1)]))
    with pytest.raises(NasplugError, match=r"must keep the limits sum<=-1, but none of \d+ does"):
        strategy.ask(1)


def test_where_everything_fails_it_goes_on():
    strategy, here = DenasEvolution(population=8), problem()
    strategy.setup(here)
    for _ in range(3):
        archs = list(ask(strategy, 100))
        assert len(archs) == 8  # no children of what has no value
        tell(strategy, here, archs, np.full((8, 1), np.nan))


def test_a_measured_limit_ranks_what_breaks_it_last():
    here = replace(problem([Constraint("sum", max=30)]), closed_form=())
    found = batches(DenasEvolution(population=40, parents=10), here, 8)
    late = np.concatenate([v for _, v in found[-5::2]])
    early = np.concatenate([v for _, v in found[::2]])
    assert (late[:, 1] <= 30).mean() > (early[:, 1] <= 30).mean()


def test_a_preference_and_a_warm_up_are_followed():
    here = problem(candidate_scorer=CandidateScorer(lambda a: np.asarray(a)[:, -1], candidates=8))
    strategy = DenasEvolution(population=10)
    led, free = (batches(strategy, p, 2) for p in (here, problem()))
    assert np.mean([a[-1] for a in led[0][0]]) > np.mean([a[-1] for a in free[0][0]]) + 2
    first = (Layers().largest, Layers().smallest)
    asked = batches(strategy, problem(initial_architectures=first), 1)[0][0]
    assert tuple(asked[:2]) == first


def test_a_space_of_one_variable_of_one_option():
    space = ToySpace(layers=1, widths=(4,))
    strategy, here = DenasEvolution(), Problem(space, (LOSS,))
    strategy.setup(here)
    archs = list(ask(strategy, 10))
    assert len(archs) == space.size == 1
    tell(strategy, here, archs, np.zeros((1, 1)))
    assert not ask(strategy, 10)
