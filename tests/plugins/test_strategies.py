"""Every builtin strategy by the conformance suite, and what each can and cannot do."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from asking import ask, tell
from nasplug_strategies.evolution.aging_evolution import AgingEvolution
from nasplug_strategies.evolution.algorithms import ALGORITHMS
from nasplug_strategies.evolution.elite_evolution import EliteEvolution
from nasplug_strategies.evolution.evolution import Evolution
from nasplug_strategies.predictor_guided.single_fit_surrogate import SingleFitSurrogate
from nasplug_strategies.samplers.grid_search import GridSearch
from nasplug_strategies.samplers.local_search import LocalSearch
from nasplug_strategies.samplers.optuna_search import SAMPLERS, OptunaSearch
from nasplug_strategies.samplers.random_search import RandomSearch
from nasplug_strategies.samplers.reinforce import Reinforce
from sklearn.linear_model import Ridge

from nasplug import CandidateScorer, Constraint, NasplugError, Problem
from nasplug.testing import StrategyContract, ToySpace

EVERY = {
    **{name: lambda name=name: Evolution(name, population=10) for name in ALGORITHMS},
    **{name: lambda name=name: OptunaSearch(name, retries=2) for name in SAMPLERS},
    "gp": lambda: OptunaSearch("gp", retries=0, settings={"n_startup_trials": 28}),
    "random": lambda: RandomSearch(batch=7),
    "grid": GridSearch,
    "grid, spread": lambda: GridSearch("spread", batch=7),
    "aging evolution": lambda: AgingEvolution(pool=16, tournament=4),
    "aging evolution in batches": lambda: AgingEvolution(pool=16, tournament=4, batch=5),
    "evolution": lambda: EliteEvolution(population=10, mutation_rate=0.1),
    "local search": lambda: LocalSearch(starts=3, batch=4),
    "reinforce": Reinforce,
    "tpe in batches": lambda: OptunaSearch(batch=6, retries=2),
    "single-fit surrogate": lambda: SingleFitSurrogate(
        Ridge(), Evolution(population=10), samples=20, evaluations=100, batch=10
    ),
}
LIMITED = {"ga": 1, "cmaes": 1}
"""Those for one objective alone."""
UNCONSTRAINED = {"moead", "cmaes"}
UNAWARE = {"random", "grid", "grid, spread", "qmc"}
"""Those that learn nothing from what they are told, constraints included."""
EXPLORES = {"ctaea"}
"""Breeds from an archive that ignores constraints on purpose: what it asks is often infeasible."""
SLOW = {"gp": 30, "tpe": 30, "tpe in batches": 30}
"""The budget of those that compute long."""


@pytest.fixture(params=sorted(EVERY))
def name(request):
    return request.param


class TestEvery(StrategyContract):
    @pytest.fixture
    def strategy(self, name):
        self.objectives = LIMITED.get(name, 2)
        self.budget = SLOW.get(name, 60)
        self.handles_constraints = name not in {*UNCONSTRAINED, *UNAWARE, *EXPLORES}
        return EVERY[name]()


@pytest.mark.parametrize("name", sorted(UNAWARE))
def test_the_suite_tells_who_handles_no_constraints(name):
    suite = StrategyContract()
    with pytest.raises(AssertionError, match=r"keep the limit; 0\.15 at random"):
        suite.test_constraints_are_obeyed_in_the_end(EVERY[name]())


class Toy(StrategyContract):
    """To drive strategies with, outside the suite."""

    __test__ = False

    def __init__(self, objectives=2):
        self.objectives = objectives


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_any_number_of_objectives_or_a_clear_error(name, objectives):
    toy, strategy = Toy(objectives), EVERY[name]()
    try:
        asked = toy.drive(strategy, toy.problem(), SLOW.get(name, 50))
    except NasplugError as error:
        assert f"cannot search for {objectives} objective" in str(error)
        able = str(error).split("these can: ")[1].split(".")[0].split(", ")
        assert able and name not in able
        for other in able:
            EVERY[other]().setup(toy.problem())
        return
    assert len(set(asked)) == len(asked) == SLOW.get(name, 50)


@pytest.mark.parametrize("name", sorted(UNCONSTRAINED))
def test_constraints_or_a_clear_error(name):
    toy = Toy(1 if name in LIMITED else 2)
    plain = toy.problem()
    problem = Problem(plain.space, plain.objectives, (Constraint("params", max=120.0),))
    with pytest.raises(
        NasplugError, match=rf"{name} cannot search for .* under constraints; .*can: "
    ):
        EVERY[name]().setup(problem)


def test_how_a_batch_is_cut_does_not_matter(name):
    toy = Toy(LIMITED.get(name, 2))
    problem, strategy = toy.problem(), EVERY[name]()
    whole = toy.drive(strategy, problem, 20)
    strategy.setup(problem)
    pieces = []
    while len(pieces) < 20:
        archs = list(ask(strategy, 3))
        tell(strategy, problem, archs, toy.values(problem, archs))
        pieces += archs
    assert pieces[:20] == whole


def test_warm_start_comes_first(name, tmp_path):
    toy = Toy(LIMITED.get(name, 2))
    problem = toy.problem(ToySpace(layers=3))
    archs = [tuple(a) for a in problem.space.enumerate()[[30, 4, 17]].tolist()]
    write(tmp_path / "front.csv", archs)
    write(tmp_path / "results.csv", [*archs, problem.space.smallest, archs[0]])
    for path, expected in (
        (tmp_path, archs),
        (tmp_path / "results.csv", [*archs, problem.space.smallest]),
    ):
        strategy = EVERY[name]()
        strategy.warm_start = str(path)
        asked = toy.drive(strategy, problem, 20)
        assert asked[: len(expected)] == expected
        assert len(set(asked)) == 20


def write(path, archs):
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["number", "architecture"])
        rows.writerows([i, json.dumps(arch)] for i, arch in enumerate(archs))


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_warm_start_may_be_more_than_the_population(algorithm, tmp_path):
    toy = Toy(LIMITED.get(algorithm, 2))
    problem = toy.problem()
    archs = [tuple(a) for a in problem.space.enumerate()[::23].tolist()]
    write(tmp_path / "front.csv", archs)
    strategy = Evolution(algorithm, population=5, warm_start=str(tmp_path))
    asked = toy.drive(strategy, problem, 40, fails=3)
    assert asked[: len(archs)] == archs and len(set(asked)) == 40


@pytest.mark.parametrize("values", [np.zeros_like, np.round, lambda v: v[:, :1] + 0 * v])
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_degenerate_objectives(algorithm, values):
    """All values equal, few distinct ones, or objectives that agree."""
    toy = Toy(LIMITED.get(algorithm, 3))
    problem = toy.problem()
    strategy = Evolution(algorithm, population=6)
    strategy.setup(problem)
    for _ in range(5):
        archs = ask(strategy, 50)
        tell(strategy, problem, archs, values(toy.values(problem, archs)))
    assert len(ask(strategy, 50)) == 6


def test_warm_start_mistakes_are_answered(tmp_path):
    problem = Toy().problem()
    for content, words in (
        (None, "there is no"),
        ("architecture\n", "is empty"),
        ("architecture\nseven\n", "must name a run on the same space"),
        ("number\n1\n", "must have a column 'architecture'"),
        ('architecture\n"[0, 1]"\n', "must name a run on the same space"),
        ('architecture\n"[9, 9, 9, 9, 9, 9]"\n', "must name a run on the same space"),
    ):
        if content is not None:
            (tmp_path / "front.csv").write_text(content)
        strategy = RandomSearch(warm_start=str(tmp_path))
        with pytest.raises(NasplugError, match=words):
            strategy.setup(problem)


def test_a_mistaken_knob_is_answered():
    for make, words in (
        (lambda: Evolution("nsga22"), "did you mean nsga2?"),
        (lambda: Evolution(population=1), "population must be at least 2"),
        (lambda: Evolution(mutation_rate=2.0), "mutation_rate must be in 0..1, but got 2"),
        (lambda: Evolution(crossover="one"), "unknown crossover 'one'"),
        (lambda: Evolution("moead", offspring=3), "offspring must be null, but got 3"),
        (lambda: Evolution("moead", settings={"neighbors": 3}), "did you mean neighbours?"),
        (lambda: Evolution("moead", settings={"neighbours": 1}), "must be in 2.*but got 1"),
        (lambda: OptunaSearch("tpee"), "did you mean tpe?"),
        (lambda: OptunaSearch("tpe", settings={"startup": 3}), "unknown setting of tpe"),
        (lambda: AgingEvolution(pool=3, tournament=5), "but got .tournament=5, pool=3."),
        (lambda: GridSearch("random"), "unknown order 'random'"),
    ):
        with pytest.raises(NasplugError, match=words):
            make()


def test_tell_must_fit_ask():
    toy = Toy()
    strategy = RandomSearch()
    problem = toy.problem()
    strategy.setup(problem)
    archs = ask(strategy, 3)
    tell(strategy, problem, archs[:1], np.zeros((1, 2)))
    for twice_or_never_asked in (archs[0], (9, 9, 9, 9, 9, 9)):
        with pytest.raises(NasplugError, match="trials that `ask` returned, each once"):
            tell(strategy, problem, [twice_or_never_asked], np.zeros((1, 2)))


# ---- preferences and warm-ups ----------------------------------------------------------------------

IGNORES = {"grid", "grid, spread"}
OTHERWISE = {"single-fit surrogate", "local search"}
"""The score is something to learn from, or an order of what is measured anyway."""


def whim(archs):
    """A score that has nothing to do with what is measured; the shallowest have none."""
    genes = np.asarray(archs)
    return np.where(genes[:, 0] == 0, np.nan, genes @ [1, 3, 5, 7, 9, 2] % 11)


def drive(name, **extra):
    toy = Toy(LIMITED.get(name, 2))
    problem = replace(toy.problem(), **extra)
    return toy.drive(EVERY[name](), problem, {**SLOW, "gp": 15}.get(name, 60))


def test_a_preference_is_followed(name):
    free = drive(name)
    led = drive(name, candidate_scorer=CandidateScorer(whim, candidates=6))
    assert len(set(led)) == len(led) == len(free)
    assert drive(name, candidate_scorer=CandidateScorer(whim, candidates=6)) == led
    if name in IGNORES:
        assert led == free
    else:
        assert led != free
        assert name in OTHERWISE or np.nanmean(whim(led)) > np.nanmean(whim(free))


def test_an_indifferent_preference_asks_no_repeats_and_ends(name):
    """Equal scores, none at all, and a space that is soon exhausted."""
    toy, space = Toy(LIMITED.get(name, 2)), ToySpace(layers=2)
    for score in (lambda a: np.zeros(len(a)), lambda a: np.full(len(a), np.nan)):
        problem = replace(toy.problem(space), candidate_scorer=CandidateScorer(score, candidates=3))
        asked = toy.drive(EVERY[name](), problem, space.size + 5)
        assert len(set(asked)) == len(asked) == space.size


def test_architectures_of_a_warm_up_come_first(name):
    space = ToySpace(layers=5)
    first = tuple(tuple(row) for row in space.enumerate()[::9].tolist())
    asked = drive(name, initial_architectures=first)
    assert len(set(asked)) == len(asked)
    assert asked[:3] == list(first[:3])
