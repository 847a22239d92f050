"""LINAS and its parts: by the conformance suite, and piece by piece."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from nasplug_predictors.gp import GaussianProcess
from nasplug_predictors.ridge import Ridge
from nasplug_predictors.svr import SVR
from nasplug_strategies.evolution.evolution import Evolution
from nasplug_strategies.linas.batch_selection import SPARE, choose
from nasplug_strategies.linas.features import Features, cost_effects, cost_weights, kinds
from nasplug_strategies.linas.initial_design import KIND_STD, _kind_tilts, spread_sample
from nasplug_strategies.linas.linas import Linas
from nasplug_strategies.linas.linas_paper import LinasPaper
from nasplug_strategies.linas.local_search import changes, distinct, local_search, recombined_moves
from nasplug_strategies.linas.model import Model, clip_to_front

from nasplug import Constraint, NasplugError, Objective, Problem, Variable
from nasplug.testing import StrategyContract, ToySpace
from nasplug.toolkit.searching import pareto

INNER = {"population": 20, "offspring": 20}
EVERY = {
    "linas": lambda: Linas(Evolution(**INNER), GaussianProcess(), evaluations=100),
    "linas, all predicted at once": lambda: Linas(Evolution(**INNER), Ridge()),
    "linas, every piece off": lambda: Linas(
        Evolution(**INNER),
        SVR(),
        optimism=0.0,
        evaluations=60,
        cost_features=False,
        local_search=0,
        spread=False,
        selection="rank",
    ),
    "linas_paper": lambda: LinasPaper(Evolution(**INNER), SVR(), population=15, evaluations=60),
    "linas_literal": lambda: LinasPaper(
        Evolution(**INNER), SVR(), population=15, evaluations=60, literal=True
    ),
}


class TestEvery(StrategyContract):
    @pytest.fixture(params=sorted(EVERY))
    def strategy(self, request):
        return EVERY[request.param]()


@pytest.mark.parametrize("objectives", [1, 3, 4])
def test_any_number_of_objectives(objectives):
    suite = StrategyContract()
    suite.objectives = objectives
    asked = suite.drive(EVERY["linas"](), suite.problem(), 30)
    assert len(set(asked)) == 30


def test_costs_that_are_computed_are_not_predicted():
    class Spy(Ridge):
        targets: ClassVar[list] = []

        def fit(self, X, y):
            Spy.targets.append(y)
            return super().fit(X, y)

    suite = StrategyContract()
    suite.objectives = 3
    problem = suite.problem()
    assert problem.closed_form == ("macs",)
    suite.drive(Linas(Evolution(**INNER), Spy(), evaluations=40), problem, 5)
    assert len(Spy.targets) == 2  # score and cost


@pytest.mark.parametrize(
    ("literal", "learnt"), [(False, {"score", "cost"}), (True, {"score", "cost", "macs"})]
)
def test_the_published_code_predicts_what_the_space_computes(literal, learnt):
    class Spy(Ridge):
        targets: ClassVar[list] = []

        def fit(self, X, y):
            Spy.targets.append(y)
            return super().fit(X, y)

    Spy.targets = []
    suite = StrategyContract()
    suite.objectives = 3
    problem = suite.problem()
    columns = [o.name for o in problem.objectives if o.name in learnt]
    strategy = LinasPaper(Evolution(**INNER), Spy(), population=10, evaluations=40, literal=literal)
    asked = suite.drive(strategy, problem, 11)
    values = suite.values(problem, asked[:10])
    expected = [values[:, problem.metrics.index(name)] for name in columns]
    assert len(Spy.targets) == len(columns) > 0
    for found, column in zip(Spy.targets, expected, strict=True):
        np.testing.assert_array_equal(found, column)


def test_the_published_code_counts_what_it_measures_again():
    """Four variables: the best predicted are soon known, so that the budget runs out before as many
    different ones are measured; what it finds is what the others' budget would have been."""
    suite = StrategyContract()
    problem = replace(suite.problem(ToySpace(layers=4)), budget=45)

    def asked(literal):
        strategy = LinasPaper(
            Evolution(**INNER), SVR(), population=15, evaluations=60, literal=literal
        )
        return suite.drive(strategy, problem, 45)

    corrected, literal = asked(False), asked(True)
    assert len(set(corrected)) == 45
    assert 15 < len(set(literal)) == len(literal) < 45
    assert literal[:15] == corrected[:15]


def test_a_predictor_for_a_computed_metric_is_an_error():
    suite = StrategyContract()
    suite.objectives = 3
    linas = Linas(Evolution(**INNER), Ridge(), predictors={"macs": Ridge()})
    with pytest.raises(NasplugError, match="macs is computed"):
        linas.setup(suite.problem())


@pytest.mark.parametrize(
    ("knob", "said"),
    [({"first": 0}, "first of linas"), ({"growth": -1.0}, "growth"), ({"selection": "x"}, "rank")],
)
def test_wrong_knobs(knob, said):
    with pytest.raises(NasplugError, match=said):
        Linas(Evolution(), Ridge(), **knob)


def test_linas_finds_a_better_front_than_random():
    suite = StrategyContract()
    suite.objectives = 2
    space = ToySpace(layers=7)

    def volume(archs):
        values = suite.values(problem, archs)
        return pareto.hypervolume(problem.losses(values), np.array([0.0, 60.0]))

    wins = 0
    for seed in range(5):
        problem = suite.problem(space, seed)
        asked = suite.drive(EVERY["linas"](), problem, 30)
        random = space.valid(space.sample(30, np.random.default_rng(seed)))
        wins += volume(asked) > volume(random)
    assert wins >= 4


def test_a_model_knows_how_far_it_was_off():
    suite = StrategyContract()
    suite.objectives = 3
    problem = suite.problem()
    archs = suite.drive(EVERY["linas"](), problem, 25)
    values = suite.values(problem, archs)
    fitted = {name: GaussianProcess() for name in problem.metrics}
    model = Model(problem, None, fitted, archs[:15], values[:15])
    late, told = np.array(archs[15:]), values[15:].copy()
    told[3] = np.nan
    surprise = model.standardized_residuals(late, told)
    rows, column = problem.space.features(late), problem.metrics.index("score")
    alone = GaussianProcess().fit(problem.space.features(np.array(archs[:15])), values[:15, column])
    mean, deviation = alone.predict(rows, return_std=True)
    good = np.arange(10) != 3
    np.testing.assert_allclose(
        surprise[good, column], ((told[:, column] - mean) / deviation)[good], rtol=1e-6
    )
    assert (surprise[3] == 1).all() and (surprise[:, problem.metrics.index("macs")] == 1).all()


def test_one_prediction_sure_and_wrong_is_not_believed_for_long():
    class Sure(Ridge):
        def predict(self, X, return_std=False):
            mean = super().predict(X)
            return (mean, np.zeros(len(mean))) if return_std else mean

    suite = StrategyContract()
    problem = suite.problem()
    archs = problem.space.valid(problem.space.sample(12, np.random.default_rng(0)))
    values = suite.values(problem, archs)
    fitted = {name: Sure() for name in problem.metrics}
    model = Model(problem, None, fitted, archs[:6], values[:6])
    assert np.abs(model.standardized_residuals(archs[6:], values[6:] + 1.0)).max() <= 10.0


def test_losses_far_behind_the_front_are_clipped():
    objectives = (Objective("macs", "", "minimize"), Objective("score", "%", "maximize"))
    limits = (Constraint("latency", max=5.0),)
    problem = Problem(ToySpace(), objectives, limits)
    front = [[1, 50, 1], [2, 60, 1], [4, 70, 1]]
    rest = [[3, 41, 900], [3, 39, 1], [4, -50, 1], [9, 50, 1], [np.nan] * 3]
    learnt = clip_to_front(problem, np.array(front + rest))
    # the front spans 3 and 20: less than 60 - 20 at 3, 70 - 20 at 4, and more than 1 + 3 at 50
    cut = [[3, 41, 900], [3, 40, 1], [4, 50, 1], [4, 50, 1], [np.nan] * 3]
    np.testing.assert_array_equal(learnt, np.array(front + cut))
    one = Problem(ToySpace(), objectives[1:])
    np.testing.assert_array_equal(clip_to_front(one, learnt[:7, 1:]), learnt[:7, 1:])


def test_optimism_moves_predictions_to_their_good_side():
    suite = StrategyContract()
    suite.objectives = 3
    problem = suite.problem()
    archs = problem.space.valid(problem.space.sample(20, np.random.default_rng(0)))
    values = suite.values(problem, archs[:10])
    fitted = {name: GaussianProcess() for name in problem.metrics}
    plain, hopeful = (
        problem.losses(Model(problem, None, fitted, archs[:10], values, shift)(archs))
        for shift in (None, np.ones(len(problem.metrics)))
    )
    better = plain - hopeful
    closed_form = [o.name in problem.closed_form for o in problem.objectives]
    assert (better[:, ~np.array(closed_form)] > 0).all() and (better[:, closed_form] == 0).all()


def test_features_separate_architectures_and_are_scaled():
    space = ToySpace(layers=5)
    features = Features(space, np.random.default_rng(0))
    every = space.enumerate()
    rows = features(every, space.costs(every))
    assert len(np.unique(rows.round(9), axis=0)) == len(every)
    alone = np.concatenate(
        [features(every[i : i + 1], space.costs(every[i : i + 1])) for i in range(5)]
    )
    np.testing.assert_allclose(alone, rows[:5])
    drawn = space.sample(300, np.random.default_rng(1))
    assert 1.0 < features(drawn, space.costs(drawn)).var(axis=0).sum() < 6.0


def test_kinds_count_options_of_variables_named_alike():
    space = ToySpace(layers=4)
    features = Features(space, np.random.default_rng(0))
    onehot = space.features(space.enumerate())
    counts = onehot @ features._sums
    assert counts.shape[1] == 3  # width1..4, three options; depth is alone
    np.testing.assert_array_equal(counts.sum(axis=1), space.enumerate()[:, 0] + 1)


def test_what_costs_more_weighs_more():
    space = ToySpace(layers=3, widths=(2, 3, 64))
    weights = cost_weights(space, cost_effects(space, space.sample(40, np.random.default_rng(0))))
    assert weights.shape == (space.features([space.smallest]).shape[1],)
    assert (weights > 0).all() and np.ptp(weights) > 0


def test_a_level_lies_between_those_of_less_and_more():
    space = ToySpace(layers=3)
    features = Features(space, np.random.default_rng(0))
    archs = space.enumerate()
    levels = space.features(archs) @ features._levels
    assert levels.shape == (len(archs), len(space.variables))
    order = [levels[archs[:, 1] == option, 1] for option in range(3)]
    assert all(np.ptp(same) < 1e-12 for same in order)
    assert order[0][0] < order[1][0] < order[2][0]


def test_the_first_sample_spans_the_costs():
    space = ToySpace(layers=5)
    problem = Problem(space, (Objective("macs", "", "minimize"),), closed_form=("macs",))
    first = spread_sample(problem, 8, np.random.default_rng(0), [])
    assert len(set(first)) == 8
    macs = space.costs(first)["macs"]
    every = space.costs(space.enumerate())["macs"]
    assert {macs.min(), macs.max()} == {every.min(), every.max()}


def test_variables_of_one_kind_lean_alike():
    space = ToySpace(layers=8)
    assert kinds(space) == [tuple(range(1, 9))]
    lean = _kind_tilts(space, np.random.default_rng(0))
    assert (lean[:, 0] == 0).all()  # depth, of no kind
    assert (lean[:, 1:] == lean[:, 1:2]).all()
    assert lean[:, 1].std() == pytest.approx(KIND_STD, rel=0.1)


def test_the_first_sample_keeps_computed_constraints():
    space = ToySpace(layers=5)
    goal = Objective("score", "", "maximize")
    limit = Constraint("params", max=120.0)
    problem = Problem(space, (goal,), (limit,), closed_form=("params",))
    first = spread_sample(problem, 8, np.random.default_rng(0), [])
    assert (space.costs(first)["params"] <= 120.0).all()


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_batch_adds_the_most_volume(objectives):
    goals = tuple(Objective(f"m{i}", "", "minimize") for i in range(objectives))
    problem = Problem(ToySpace(), goals)
    rng = np.random.default_rng(0)
    measured, candidates = rng.random((12, objectives)), rng.random((40, objectives)) * 0.9
    chosen = choose(problem, measured, candidates, 4)
    low, high = pareto.bounds(measured)
    reference = high + 0.1 * (high - low)
    front = measured
    for i in chosen:
        gains = [
            pareto.hypervolume(np.vstack([front, row]), reference)
            - pareto.hypervolume(front, reference)
            for row in candidates
        ]
        if max(gains) < 1e-12:
            break
        assert gains[i] == pytest.approx(max(gains))
        front = np.vstack([front, candidates[i]])


def test_with_chance_the_batch_is_drawn_in_proportion_to_what_each_adds():
    problem = Problem(
        ToySpace(), (Objective("loss", "", "minimize"), Objective("size", "", "minimize"))
    )
    measured = np.array([[0.0, 1.0], [1.0, 0.0]])
    at = np.linspace(0.05, 0.95, 30)
    candidates = np.column_stack([at, 1.0 - at - 0.5 * at * (1.0 - at)])
    lined_up = choose(problem, measured, candidates, 1 + SPARE).tolist()
    rng = np.random.default_rng(0)
    drawn = [int(choose(problem, measured, candidates, 1, rng)[0]) for _ in range(400)]
    assert set(drawn) <= set(lined_up)
    counts = [drawn.count(i) for i in lined_up]
    assert counts[0] == max(counts) and counts[0] < 300
    several = choose(problem, measured, candidates, 3, rng).tolist()
    assert len(set(several)) == 3 and set(several) <= set(choose(problem, measured, candidates, 10))


def test_the_batch_is_feasible_first():
    goal = Objective("loss", "", "minimize")
    problem = Problem(ToySpace(), (goal,), (Constraint("size", max=1.0),))
    measured = np.array([[1.0, 0.5], [0.5, 2.0], [np.nan, np.nan]])
    candidates = np.array([[0.1, 3.0], [0.9, 1.0], [0.2, 1.5], [0.8, 0.2]])
    assert choose(problem, measured, candidates, 4).tolist() == [3, 1, 2, 0]


def test_changes_are_the_neighbours():
    space = ToySpace(layers=4)
    archs = space.sample(5, np.random.default_rng(0))
    who, column, made = changes(space, archs)
    for i, arch in enumerate(space.valid(archs)):
        near = {tuple(row) for row in made[who == i].tolist()} - {arch}
        assert near == set(space.neighbours(arch))
    assert space.features(made)[np.arange(len(made)), column].all()


class Flat(ToySpace):
    """Eight variables that are always active."""

    variables = tuple(Variable(f"x{j}", (1, 2, 3)) for j in range(8))


def test_where_changes_add_up_every_recombined_move_ends_on_the_front():
    space, rng = Flat(), np.random.default_rng(0)
    costs = rng.normal(size=24)
    effects = np.column_stack([costs, -costs * rng.uniform(0.2, 5.0, 24)])
    start = space.sample(3, rng)
    who, column, made = changes(space, start)
    gained = (space.features(made) - space.features(start)[who]) @ effects
    reached = {
        tuple(row) for row in recombined_moves(space, start, who, column, gained, rng).tolist()
    }
    every = space.enumerate()
    best = every[pareto.nondominated(space.features(every) @ effects)]
    assert len(reached) > 5
    assert reached <= {tuple(row) for row in best.tolist()}


@pytest.mark.parametrize("limit", [None, 0.0])
def test_one_round_of_local_search_reaches_the_best(limit):
    space, rng = Flat(), np.random.default_rng(0)
    effects = rng.normal(size=(24, 2))
    goal = Objective("loss", "", "minimize")
    limits = () if limit is None else (Constraint("size", max=limit),)
    problem = Problem(space, (goal,), limits)

    def predict(archs):
        return space.features(archs) @ effects[:, : len(problem.metrics)]

    start = space.sample(1, rng)
    _, told = local_search(problem, predict, start, predict(start), 1, 1, rng)
    every = predict(space.enumerate())
    allowed = every[problem.violation(every) == 0, 0]
    found = told[problem.violation(told) == 0, 0]
    assert (found.min() < allowed).mean() > 0.99 if limits else found.min() == allowed.min()


def test_local_search_predicts_nothing_twice():
    space, rng = ToySpace(layers=4), np.random.default_rng(0)
    problem = Problem(space, (Objective("params", "", "minimize"), Objective("x", "", "maximize")))
    asked = []

    def predict(archs):
        asked.extend(map(tuple, archs.tolist()))
        return np.column_stack(
            [space.costs(archs)["params"], archs @ np.array([3, -1, 2, -2, 1.0])]
        )

    start = space.valid(space.sample(2, rng))
    found, told = local_search(
        problem, predict, np.array(start), predict(np.array(start)), 4, 5, rng
    )
    assert [tuple(row) for row in found.tolist()] == asked
    assert len(set(asked)) == len(asked) > 20
    np.testing.assert_array_equal(told, predict(found))


def test_distinct_keeps_the_first_of_each():
    rows = np.array([[1, 2], [0, 1], [1, 2], [0, 0], [0, 1]])
    assert distinct(rows).tolist() == [[1, 2], [0, 1], [0, 0]]
    assert distinct(rows[:0]).shape == (0, 2)
