"""What the progress line says: bests, a hypervolume that means something and never falls, the end."""

import logging
import re

import numpy as np
import pytest
from light import LightEvaluator, LightSpace, LightStrategy

import nasplug.app.watcher as module
from nasplug import Failure, Measurement, search
from nasplug.app.run import Run
from nasplug.app.watcher import Standing
from nasplug.contracts.strategy import Problem
from nasplug.contracts.types import Constraint, Objective, Record, Trial
from nasplug.engine.records import RecordTable
from nasplug.toolkit.searching import pareto

SPACE = LightSpace()
ARCHS = [tuple(row) for row in SPACE.enumerate()[:300].tolist()]
GOALS = (Objective("good", "%", "maximize"), Objective("slow", "ms", "minimize"))


def records(n, seed=0, fails=0.3):
    dice = np.random.default_rng(seed)
    return [
        Record(i, Trial(ARCHS[i]), Failure("no"))
        if dice.random() < fails
        else Record(i, Trial(ARCHS[i]), Measurement({"good": dice.random(), "slow": dice.random()}))
        for i in range(n)
    ]


def rounded(record):
    """With many equal values."""
    if isinstance(record.outcome, Failure):
        return record
    values = {name: float(round(9 * value)) for name, value in record.outcome.values.items()}
    return Record(record.number, record.trial, Measurement(values))


def run_of(problem):
    table = RecordTable(SPACE)
    return table, Run(None, problem, LightEvaluator(), table)


@pytest.mark.parametrize("limits", [(), (Constraint("slow", max=0.5),)])
def test_hypervolume_never_falls_nor_comes_too_early(limits):
    problem = Problem(SPACE, GOALS, limits)
    for seed in range(5):
        table, run = run_of(problem)
        standing, shown, finite = Standing(run), [], 0
        for record in records(150, seed):
            table.add(record)
            finite += isinstance(record.outcome, Measurement)
            fields = standing.fields()
            assert ("hypervolume" in fields) == (finite >= 10)
            shown += [float(fields["hypervolume"])] if finite >= 10 else []
            resumed = Standing(Run(None, problem, LightEvaluator(), table)).fields()
            assert resumed == fields, "continued, the line says something else"
        assert shown == sorted(shown) and shown[-1] > shown[0]
        losses = run.losses()
        low, high = pareto.bounds(losses[np.isfinite(losses).all(axis=1)][:10])
        want = pareto.hypervolume(losses[run.front_mask()], high, low)
        assert shown[-1] == pytest.approx(want, abs=1e-3)
        assert fields["best good"] == f"{-np.nanmin(losses[:, 0]):.4g}%"


def test_one_objective_has_none():
    table, run = run_of(Problem(SPACE, GOALS[:1]))
    for record in records(30):
        table.add(record)
    assert list(Standing(run).fields()) == ["best good"]


def test_the_front_is_that_of_all_rows_whatever_the_order_of_arrival():
    dice = np.random.default_rng(1)
    problem = Problem(SPACE, GOALS, (Constraint("slow", max=7),))
    for seed in range(10):
        table, run = run_of(problem)
        rough = [rounded(record) for record in records(80, seed)]
        for i in np.argsort(np.arange(80) + dice.uniform(0, 15, 80)):
            table.add(rough[i])
            if dice.random() < 0.3:
                run.measured_front()
        values = np.array(
            [[r.outcome.values["good"], r.outcome.values["slow"]] if isinstance(r.outcome, Measurement)
             else [np.nan, np.nan] for r in rough]
        )  # fmt: skip
        want = pareto.nondominated(problem.losses(values), problem.violation(values))
        np.testing.assert_array_equal(run.front_mask(), want)
        assert [r.number for r in run.records] == list(range(80))


@pytest.mark.parametrize("budget", [25, 10**4])
def test_the_line_ends_with_the_final_state(tmp_path, monkeypatch, caplog, budget):
    """Also where the space is exhausted before the budget, and though updates are far apart."""
    monkeypatch.setattr(module, "REFRESH", 1e9)
    with caplog.at_level(logging.INFO, "nasplug"):
        run = search(
            SPACE, LightEvaluator(), LightStrategy(64), ["good", "slow"], budget, run=tmp_path
        )
    last = [r.getMessage() for r in caplog.records if r.getMessage().startswith("searching")][-1]
    assert last.startswith(f"searching {len(run)}/{budget} ")
    want = Standing(run).fields()
    assert re.sub(r"  \d+ s$", "", last).endswith("  ".join(f"{k} {v}" for k, v in want.items()))


def test_own_work_is_a_tenth_of_the_time_at_most(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    pace, done = module._Pace(2.0), 0
    for _ in range(10_000):
        now[0] += 0.1
        if pace.due():
            with pace.doing():
                now[0] += 3.0
                done += 1
    assert 3.0 * done / now[0] < 0.1 and done > 10
