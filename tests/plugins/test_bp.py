"""The binary-relation predictor, and the search that it ranks for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from asking import ask, tell
from nasplug_predictors.bp import BP
from nasplug_predictors.graph import Graph
from nasplug_strategies.predictor_guided.binary_relation import BinaryRelation
from scipy.stats import kendalltau
from sklearn.linear_model import Ridge

import nasplug
from nasplug import CandidateScorer, NasplugError, Objective, Problem, SearchSpace, Variable
from nasplug.testing import PredictorContract, StrategyContract, ToySpace

QUICK = {"layers": 2, "hidden": 16, "epochs": 60, "learning_rate": 0.01}


class TestPredictor(PredictorContract):
    @pytest.fixture
    def predictor(self):
        return BP(**QUICK)


class TestInBatchesOfPairs(PredictorContract):
    @pytest.fixture
    def predictor(self):
        return BP(**{**QUICK, "epochs": 15}, pairs=64)


class TestAboutASpace(PredictorContract):
    @pytest.fixture
    def predictor(self):
        return BP(**QUICK).set_space(ToySpace(layers=6))


class TestStrategy(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return BinaryRelation(BP(layers=1, hidden=8, epochs=5), batch=10, pool=300)


class TestOtherPredictors(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return BinaryRelation(Ridge(), batch=10, pool=300)


OPTIONS = ("none", "conv")


class Diamond(SearchSpace):
    """a feeds b and c, which feed d; b has options of its own."""

    variables = (
        Variable("a", OPTIONS),
        Variable("b", (1, 2, 3)),
        Variable("c", OPTIONS),
        Variable("d", OPTIONS, when={"a": ("conv",)}),
    )
    links = (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))

    def build(self, arch):
        raise AssertionError("nothing is built here")

    def example_inputs(self, batch_size):
        raise AssertionError("nothing is built here")


def test_the_graph_is_the_wiring():
    flow = Graph.of(Diamond()).flow
    hears = (flow > 0).int().tolist()
    names = ["a", "b", "c", "d", "input", "output"]
    wired = {names[i] + names[j] for i in range(6) for j in range(i) if hears[i][j] and hears[j][i]}
    assert wired == {"ba", "ca", "db", "dc", "inputa", "outputd"}
    assert hears[6] == [1] * 7, "the global node hears all"
    assert [row[6] for row in hears[:6]] == [0] * 6
    torch.testing.assert_close(flow.sum(1), torch.ones(7))


def test_nodes_say_their_option_alike_and_on_their_own():
    space = Diamond()
    graph = Graph.of(space)
    nodes = graph.nodes(space.features([(1, 2, 1, 0), (0, 0, 1, 0)])).numpy()
    assert nodes.shape == (2, 7, 2 + 3 + 9 + 3) == (2, 7, graph.width)
    a, b, c, d = nodes[0, :4]
    assert a[:5].tolist() == c[:5].tolist() == [0, 1, 0, 0, 0], "the same option"
    assert b[:5].tolist() == [0, 0, 0, 0, 1] and d[:5].tolist() == [1, 0, 0, 0, 0]
    assert (a[5:14] != c[5:14]).any(), "of different variables"
    assert (nodes[1, 3] == 0).all(), "d does not take part"
    assert (nodes[:, 4:, -3:] == np.eye(3)).all()


def test_a_space_without_links_is_a_chain():
    flow = Graph.of(ToySpace(layers=3)).flow
    assert (flow[:4, :4] > 0).int().tolist() == [
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [0, 1, 1, 1],
        [0, 0, 1, 1],
    ]


def test_what_was_learnt_from_scores_is_where_fitting_starts():
    space = ToySpace(layers=6)
    archs = space.sample(200, np.random.default_rng(0))
    features = space.features(archs)
    worth = features @ np.random.default_rng(1).normal(size=features.shape[1])
    scores = np.exp(worth + np.random.default_rng(2).normal(size=len(worth)) * 0.3)
    few = slice(0, 8)
    settings = {**QUICK, "epochs": 30}

    def rank(predictor):
        predicted = predictor.fit(features[few], worth[few]).predict(features)
        return kendalltau(predicted, worth).statistic

    blank = rank(BP(**settings).set_space(space))
    taught = BP(**settings).set_space(space).pretrain(features[50:], scores[50:])
    assert rank(taught) > blank + 0.1
    assert rank(taught) == rank(taught), "and every fit starts there again"


def problem(**extra):
    goal = Objective("score", "", "maximize")
    return replace(Problem(ToySpace(layers=5), (goal,), seed=1), **extra)


def worth(archs):
    return np.asarray(archs, float)[:, 1:].sum(axis=1)


def test_it_finds_better_ones_and_samples_the_top():
    strategy = BinaryRelation(BP(**QUICK), batch=20)
    strategy.setup(problem())
    means = []
    for _ in range(4):
        archs = ask(strategy, 100)
        assert len(archs) == 20
        tell(strategy, problem(), archs, worth(archs)[:, None])
        means.append(worth(archs).mean())
    assert means[1] > means[0] + 1 and means[3] >= 6


def test_a_preference_teaches_the_predictor_that_chooses_the_first():
    strategy = BinaryRelation(BP(**QUICK), batch=20, pretrain=100)
    asked = []

    def score(archs):
        asked.append(len(archs))
        return worth(archs)

    strategy.setup(problem(candidate_scorer=CandidateScorer(score)))
    taught = worth(ask(strategy, 20))
    strategy.setup(problem())
    assert asked == [100]
    assert taught[:10].mean() > worth(ask(strategy, 20)).mean() + 2


@pytest.mark.parametrize("score", [lambda a: np.full(len(a), np.nan), lambda a: np.zeros(len(a))])
def test_scores_that_teach_nothing_do_no_harm(score):
    strategy = BinaryRelation(BP(**QUICK), batch=10, pretrain=20)
    strategy.setup(problem(candidate_scorer=CandidateScorer(score)))
    assert len(set(ask(strategy, 10))) == 10


def test_a_warm_up_fills_the_first_batch():
    first = tuple(map(tuple, ToySpace(layers=5).enumerate()[::7].tolist()))
    strategy = BinaryRelation(Ridge(), batch=20)
    strategy.setup(problem(initial_architectures=first))
    assert ask(strategy, 100) == list(first[:20])


def test_impossible_knobs_are_named():
    with pytest.raises(NasplugError, match="hidden of bp must be at least 1, but got 0"):
        BP(hidden=0)
    with pytest.raises(NasplugError, match="batch must be at least 2, but got 1"):
        BinaryRelation(Ridge(), batch=1)


def test_every_pair_is_seen_once_an_epoch():
    steps = BP(pairs=64)._steps(200)
    assert [len(step) for step in steps] == [64, 64, 64, 8]
    assert sorted(np.concatenate(steps)) == list(range(200))
    assert len(BP()._steps(200)) == 1


def test_the_published_settings_are_a_choice():
    """Those of the authors' code for BRP-NAS."""
    found = nasplug.make("predictor", "bp_published")
    published = {"layers": 4, "hidden": 600, "dropout": 0.2, "epochs": 250, "pairs": 64}
    published |= {"learning_rate": 3.5e-4, "weight_decay": 5e-4}
    assert {name: getattr(found, name) for name in published} == published
