"""Warm-up and moves: any strategy, led by zero-cost scores."""

from dataclasses import replace

import numpy as np
import pytest
from asking import ask, tell
from nasplug_proxies.evaluator import Proxies
from nasplug_proxies.scoring.score_cache import ScoreCache
from nasplug_proxies.wrappers.move import Move
from nasplug_proxies.wrappers.pool import best_first
from nasplug_proxies.wrappers.warmup import WarmUp
from nasplug_strategies.evolution.aging_evolution import AgingEvolution
from nasplug_strategies.samplers.random_search import RandomSearch

import nasplug
from nasplug import Constraint, NasplugError, Objective, Problem
from nasplug.testing import StrategyContract, ToySpace
from nasplug.toolkit.searching.pareto import nondominated


class Size:
    """The widths, summed: a score without networks."""

    def scores(self, archs, name):
        assert name == "size"
        return np.asarray(archs, float)[:, 1:].sum(axis=1)


def warmed(strategy, proxies, proxy):
    return WarmUp(strategy, proxies, proxy, pool=50)


def moved(strategy, proxies, proxy):
    return Move(strategy, proxies, proxy, candidates=5)


WRAPPERS = (warmed, moved, lambda *args: warmed(moved(*args), *args[1:]))


@pytest.mark.parametrize("wrap", WRAPPERS, ids=["warm-up", "moves", "both"], scope="class")
class TestWrappers(StrategyContract):
    @pytest.fixture
    def strategy(self, wrap):
        return wrap(AgingEvolution(pool=16, tournament=4), Size(), "size")

    def test_is_described_and_pickles(self, strategy, wrap):
        proxies = Proxies(ToySpace(layers=5), cache="memory")
        super().test_is_described_and_pickles(wrap(RandomSearch(batch=5), proxies, "params"))


@pytest.fixture
def problem():
    return Problem(ToySpace(layers=5), (Objective("score", "", "maximize"),), seed=3)


def test_the_best_of_the_pool_are_measured_first(problem):
    strategy = WarmUp(AgingEvolution(pool=16, tournament=4), Size(), "size", pool=80)
    strategy.setup(problem)
    first = ask(strategy, 100)
    scores = Size().scores(first, "size")
    assert len(first) == 16 and (np.diff(scores) <= 0).all()
    everything = Size().scores(problem.space.enumerate(), "size")
    assert scores.min() >= np.quantile(everything, 0.6)


def test_a_pool_as_large_as_the_space_is_the_space(problem):
    strategy = WarmUp(RandomSearch(), Size(), "size", pool=400)
    strategy.setup(problem)
    assert len(set(ask(strategy, 10_000))) == problem.space.size


@pytest.mark.parametrize("wrap", [WarmUp, Move])
def test_without_a_proxy_nothing_changes(problem, wrap):
    plain, wrapped = RandomSearch(), wrap(RandomSearch(), Size())
    for strategy in (plain, wrapped):
        strategy.setup(problem)
    assert ask(wrapped, 64) == ask(plain, 64)


def test_moves_are_scored_only_as_many_as_said(problem):
    counts = []

    class Counting(Size):
        def scores(self, archs, name):
            counts.append(len(archs))
            return super().scores(archs, name)

    strategy = Move(AgingEvolution(pool=4, tournament=2, greed=1.0), Counting(), "size", 3)
    strategy.setup(problem)
    archs = ask(strategy, 4)
    tell(strategy, problem, archs, Size().scores(archs, "size")[:, None])
    ask(strategy, 1)
    assert counts == [3]


def test_what_breaks_a_computed_constraint_is_not_preferred(problem):
    limit = Constraint("params", max=130.0)
    problem = replace(problem, constraints=(limit,), closed_form=("params",))
    for strategy in (
        WarmUp(RandomSearch(), Size(), "size", pool=200),
        Move(RandomSearch(batch=8), Size(), "size", candidates=40),
    ):
        strategy.setup(problem)
        archs = ask(strategy, 8)
        assert (problem.space.costs(archs)["params"] <= 130).all()
        assert Size().scores(archs, "size").mean() >= 3


def test_with_several_objectives_the_first_are_spread_over_score_and_cost(problem):
    goals = (*problem.objectives, Objective("macs", "", "minimize"))
    problem = replace(problem, objectives=goals, closed_form=("macs",))
    archs = problem.space.valid(problem.space.enumerate())
    scores = np.random.default_rng(0).normal(size=len(archs)) + Size().scores(archs, "size")
    order = best_first(problem, archs, scores)
    assert sorted(order) == sorted(archs)
    places = [archs.index(arch) for arch in order]
    macs = problem.space.costs(archs)["macs"]
    front = nondominated(np.column_stack([-scores, macs]))
    assert front[places[: front.sum()]].all() and not front[places[front.sum() :]].any()
    assert {int(np.argmax(scores)), int(np.argmin(macs))} == set(places[:2])


def test_the_unscored_are_left_out(problem):
    archs = problem.space.valid(problem.space.enumerate())[:4]
    order = best_first(problem, archs, np.array([1.0, np.nan, 3.0, 2.0]))
    assert order == (archs[2], archs[3], archs[0])


def test_knobs_and_names_are_checked(problem, tmp_path):
    parts = {"strategy": RandomSearch(), "proxies": Size(), "proxy": "size"}
    with pytest.raises(NasplugError, match="pool of WarmUp must be int, at least 1, but got 0"):
        nasplug.make("wrapper", "warmup", pool=0, **parts)
    with pytest.raises(NasplugError, match="candidates of Move must be int, at least 1, but got 0"):
        nasplug.make("wrapper", "move", candidates=0, **parts)
    proxies = Proxies(problem.space, cache=str(tmp_path))
    with pytest.raises(NasplugError, match="unknown proxy 'synflo'; did you mean synflow"):
        WarmUp(RandomSearch(), proxies, "synflo").setup(problem)
    with pytest.raises(NasplugError, match="snip needs data"):
        WarmUp(RandomSearch(), proxies, "snip").setup(problem)


# ---- scores on disk ------------------------------------------------------------------------------


def built(monkeypatch):
    """Counts the networks that a ToySpace builds from here on."""
    calls, build = [], ToySpace.build
    monkeypatch.setattr(
        ToySpace, "build", lambda self, arch: calls.append(arch) or build(self, arch)
    )
    return calls


def test_a_pool_is_scored_once(problem, tmp_path, monkeypatch):
    archs = problem.space.valid(problem.space.enumerate())[:30]
    calls = built(monkeypatch)
    first = Proxies(problem.space, cache=str(tmp_path)).scores(archs[:20], "synflow")
    assert calls == archs[:20]
    again = Proxies(problem.space, cache=str(tmp_path))
    whole = again.scores(np.array(archs), "synflow")
    assert calls == archs and (whole[:20] == first).all()
    again.scores(archs, "synflow")
    assert calls == archs
    assert (Proxies(problem.space, cache="memory").scores(archs, "synflow") == whole).all()


def test_aggregators_take_from_the_file_what_it_has(problem, tmp_path, monkeypatch):
    archs = problem.space.valid(problem.space.enumerate())[:10]
    options = {"rank_mean": {"members": ["synflow", "params"]}}
    proxies = Proxies(problem.space, cache=str(tmp_path), options=options)
    singles = np.column_stack([proxies.scores(archs, n) for n in ("synflow", "params")])
    calls = built(monkeypatch)
    found = proxies.scores(archs, "rank_mean")
    expected = nasplug.make("proxy", "rank_mean", members=["synflow", "params"]).combine(singles)
    assert (found == expected).all() and calls == []


def test_other_settings_have_files_of_their_own(problem, tmp_path):
    archs = problem.space.valid(problem.space.enumerate())[:3]
    kinds = (
        {},
        {"seed": 1},
        {"repeats": 2},
        {"options": {"synflow": {"log": False}}},
        {"space": ToySpace(layers=5, classes=4)},
    )
    found = []
    for settings in kinds:
        proxies = Proxies(**{"space": problem.space, "cache": str(tmp_path), **settings})
        found.append(tuple(proxies.scores(archs, "synflow")))
    assert len(list(tmp_path.glob("*.jsonl"))) == len(set(found)) == len(kinds)


def test_a_killed_process_leaves_a_readable_book(tmp_path):
    book = ScoreCache(tmp_path, {"proxy": "p"})
    book.add((0, 1), 2.5)
    book.add((1, 1), float("nan"))
    path = next(tmp_path.glob("*.jsonl"))
    path.write_text(path.read_text() + "\n[[2, 1], 3.")
    again = ScoreCache(tmp_path, {"proxy": "p"})
    assert (0, 1) in again and (2, 1) not in again
    again.add((3, 1), 4.0)
    last = ScoreCache(tmp_path, {"proxy": "p"})
    assert last[0, 1] == 2.5 and last[3, 1] == 4.0 and np.isnan(last[1, 1])
    assert (2, 1) not in last and (0, 1) not in ScoreCache(tmp_path, {"proxy": "q"})


def test_a_folder_that_cannot_be_written_is_named(problem, tmp_path):
    (tmp_path / "file").write_text("")
    proxies = Proxies(problem.space, cache=str(tmp_path / "file"))
    with pytest.raises(NasplugError, match=r"must be writable.*proxies\.cache="):
        proxies.scores([problem.space.smallest], "params")
