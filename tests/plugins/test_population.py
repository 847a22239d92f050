"""Populations that are chosen from the budget, and what is announced of them."""

import logging
from dataclasses import replace

import pytest
from nasplug_strategies.evolution.aging_evolution import AgingEvolution
from nasplug_strategies.evolution.algorithms import ALGORITHMS
from nasplug_strategies.evolution.elite_evolution import EliteEvolution
from nasplug_strategies.evolution.evolution import Evolution
from nasplug_strategies.linas.linas_paper import LinasPaper
from nasplug_strategies.population import population_for
from nasplug_strategies.predictor_guided.single_fit_surrogate import SingleFitSurrogate
from sklearn.linear_model import Ridge

import nasplug
from nasplug import NasplugError
from nasplug.testing import StrategyContract, ToyEvaluator, ToySpace

SPACE = ToySpace(layers=7)


class Toy(StrategyContract):
    """To drive strategies with."""

    __test__ = False

    def history(self, strategy, budget, told_of):
        problem = replace(self.problem(SPACE), budget=told_of)
        return self.drive(strategy, problem, budget)


def test_a_fifth_of_the_budget_up_to_the_published_size():
    assert [population_for(n, 50, 5) for n in (1, 20, 60, 249, 250, 10_000, None)] == [
        4, 4, 12, 49, 50, 50, 50,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "published", "enough"),
    [(Evolution, {"population": 50}, 250), (AgingEvolution, {"pool": 64, "tournament": 10}, 128)],
)
def test_with_budget_enough_the_published_setting_is_the_default(make, published, enough):
    toy = Toy()
    chosen = toy.history(make(), 100, enough)
    assert chosen == toy.history(make(**published), 100, enough)
    assert chosen == toy.history(make(), 100, None)
    assert chosen != toy.history(make(), 100, 60)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_small_budget_is_more_than_random_search(algorithm):
    """The chosen population breeds within the budget; 50, as published, would be all random."""
    toy = Toy()
    toy.objectives = 1 if algorithm == "ga" else 2
    asked = toy.history(Evolution(algorithm), 40, 40)
    random = toy.history(Evolution(algorithm, population=50), 40, 40)
    assert len(set(asked)) == 40
    assert asked[:8] == random[:8] and asked[8:] != random[8:]


def test_what_the_user_gives_is_kept_and_a_budget_below_it_is_announced(caplog):
    toy = Toy()
    with caplog.at_level(logging.INFO, "nasplug_strategies"):
        toy.history(Evolution(population=30), 30, 30)
        toy.history(AgingEvolution(pool=30), 30, 30)
        toy.history(EliteEvolution(population=30), 30, 30)
        toy.history(SingleFitSurrogate(Ridge(), Evolution(), samples=30), 30, 30)
        toy.history(LinasPaper(Evolution(), Ridge(), population=30), 30, 30)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split()[0] for line in lines] == [
        "nsga2",
        "aging_evolution",
        "evolution",
        "single_fit_surrogate",
        "linas_paper",
    ]
    assert all("and the budget is 30: this is random search; lower" in line for line in lines)
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_a_chosen_population_is_announced_once(caplog):
    toy, strategy = Toy(), Evolution()
    with caplog.at_level(logging.INFO, "nasplug_strategies"):
        toy.history(strategy, 30, 60)
        toy.history(strategy, 30, 60)
        toy.history(strategy, 30, 250)
        toy.history(strategy, 30, None)
    assert [record.getMessage() for record in caplog.records] == [
        "nsga2: population=12, chosen from the budget of 60; the published setting is 50"
    ]


def test_half_of_a_small_budget_trains_a_single_fit():
    toy = Toy()
    chosen = toy.history(SingleFitSurrogate(Ridge(), Evolution(), evaluations=200), 40, 40)
    given = SingleFitSurrogate(Ridge(), Evolution(), evaluations=200, samples=20)
    assert chosen == toy.history(given, 40, None)


def test_a_raised_budget_continues(tmp_path):
    """What was asked with the smaller budget is asked again: nothing is measured twice."""

    def table(budget, folder):
        goals, metrics = ["score", "cost"], ToyEvaluator()
        return nasplug.search(SPACE, metrics, Evolution(), goals, budget, run=folder).table()

    short = table(30, tmp_path / "run")
    longer = table(300, tmp_path / "run")
    assert longer["architecture"][:30].tolist() == short["architecture"].tolist()
    assert longer["number"].tolist() == list(range(300))
    assert longer["architecture"].nunique() == 300
    afresh = table(300, tmp_path / "other")
    assert afresh["architecture"].tolist() != longer["architecture"].tolist()
    again = table(310, tmp_path / "run")
    assert again["architecture"][:300].tolist() == longer["architecture"].tolist()


def test_mistaken_sizes_are_answered():
    for make, words in (
        (lambda: AgingEvolution(pool=0), "pool must be at least 1"),
        (lambda: AgingEvolution(tournament=0), "1 <= tournament"),
        (lambda: SingleFitSurrogate(Ridge(), Evolution(), samples=0), "samples must be at least 1"),
    ):
        with pytest.raises(NasplugError, match=words):
            make()
