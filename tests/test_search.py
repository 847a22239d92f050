"""The loop, the ledger and the run together: budgets, failures, resuming, crashes, mistakes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from light import LightEvaluator, LightSpace, LightStrategy
from nasplug_executors.processes import Processes

from nasplug import NasplugError, full_trials, search
from nasplug.app.components import open_run
from nasplug.contracts.types import Failure, Measurement
from nasplug.engine.run_folder import lock_folder

SCRIPT = Path(__file__).with_name("light.py")


def find(budget=40, evaluator=None, strategy=None, objectives=("good", "slow"), **more):
    return search(
        LightSpace(), evaluator or LightEvaluator(), strategy or LightStrategy(), list(objectives),
        budget, **more,
    )  # fmt: skip


def history(run):
    """What was measured, in order, without the clock."""
    return [
        (r.number, r.arch, getattr(r.outcome, "values", None), getattr(r.outcome, "error", None))
        for r in run.records
    ]


class TestBudget:
    def test_is_exact_and_nothing_is_measured_twice(self):
        counted = []

        class Counting(LightEvaluator):
            def evaluate(self, trials, names):
                archs = [trial.arch for trial in trials]
                counted.extend(archs)
                return super().evaluate(trials, names)

        run = find(37, Counting())
        assert len(run.records) == 37 == len(counted) == len(set(counted))

    def test_ends_when_the_space_is_exhausted(self):
        assert len(find(10**5).records) == LightSpace().size

    @pytest.mark.parametrize("budget", [0, -3, "ten", 2.5, True])
    def test_must_be_a_positive_whole_number(self, budget):
        with pytest.raises(NasplugError, match="budget must be a whole number of at least 1"):
            find(budget)


class TestResults:
    def test_front_is_the_measured_pareto_set(self):
        run = find(60)
        rows = [
            (r.number, r.outcome.values["good"], r.outcome.values["slow"])
            for r in run.records
            if isinstance(r.outcome, Measurement)
        ]
        front = {
            n
            for n, good, slow in rows
            if not any(g >= good and s <= slow and (g, s) != (good, slow) for _, g, s in rows)
        }
        assert set(run.front()["number"]) <= front
        points = {(g, s) for n, g, s in rows if n in front}
        assert set(zip(run.front()["good"], run.front()["slow"], strict=True)) == points

    def test_constraints_limit_the_front(self):
        run = find(60, constraints={"slow": {"max": 30.0, "min": 10}})
        assert len(run.front()) and run.front()["slow"].between(10, 30).all()
        assert (run.table()["slow"] > 30).any()

    def test_a_metric_not_measured_is_missing(self, tmp_path):
        run = find(20, objectives=["good"], run=tmp_path / "r")
        assert "slow" not in run.table()
        table = pd.read_csv(tmp_path / "r" / "results.csv")
        failed = table["status"] == "failed"
        assert failed.any() and table.loc[failed, "good"].isna().all()
        assert (table.loc[failed, "error"] == "unlucky").all()

    def test_also_is_recorded_but_not_optimised(self):
        run = find(20, objectives=["good"], also=["slow"])
        assert "slow" in run.table() and len(run.front()) == 1

    def test_files_hold_what_the_run_holds(self, tmp_path):
        run = find(30, run=tmp_path / "r")
        table = pd.read_csv(tmp_path / "r" / "results.csv")
        assert list(table["number"]) == list(range(30))
        space = LightSpace()
        for row, record in zip(table.to_dict("records"), run.records, strict=True):
            arch = tuple(json.loads(row["architecture"]))
            assert arch == record.arch and json.loads(row["config"]) == space.config(arch)
            if isinstance(record.outcome, Measurement):
                assert row["good"] == record.outcome.values["good"]
        again = open_run_light(tmp_path / "r", run)
        assert history(again) == history(run)
        assert (tmp_path / "r" / "front.png").stat().st_size > 5000

    def test_best(self):
        run = find(60)
        losses = run.losses()
        good = run.best("good")
        assert good.outcome.values["good"] == -np.nanmin(losses[:, 0])
        under = run.best("good", under={"slow": {"max": 20}})
        assert under.outcome.values["slow"] <= 20
        assert run.best("knee").number in set(run.front()["number"])
        assert run.best(3).number == 3
        with pytest.raises(NasplugError, match="Known: a row's number, good, knee, slow"):
            run.best("god")
        with pytest.raises(NasplugError, match="loosen"):
            run.best("good", under={"slow": {"max": -1}})

    def test_hypervolume_of_a_known_front(self):
        run = find(60)
        front = run.front().sort_values("slow")
        area, floor = 0.0, 0.0
        edges = [*front["slow"][1:], 100.0]
        for good, slow, edge in zip(front["good"], front["slow"], edges, strict=True):
            area += max(0.0, good - floor) * (edge - slow)
        share = run.hypervolume({"good": 0, "slow": 100}, {"good": 20, "slow": 0})
        assert share == pytest.approx(area / (20 * 100))

    def test_optuna_reads_the_ledger(self, tmp_path):
        run = find(20, run=tmp_path / "r")
        storage = optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(tmp_path / "r" / "journal.log"))
        )
        study = optuna.load_study(study_name="r", storage=storage)
        assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
        assert len(study.trials) == 20
        best = {tuple(t.user_attrs["architecture"]) for t in study.best_trials}
        assert {r.arch for r, m in zip(run.records, run.front_mask(), strict=True) if m} <= best


def open_run_light(folder, run):
    """`open_run` needs classes that can be imported by name; these are of this very module."""
    sys.modules.setdefault("light", sys.modules[LightSpace.__module__])
    return open_run(folder, allow=["light"])


class TestFailures:
    def test_an_exception_is_recorded_and_the_search_goes_on(self):
        class Raising(LightEvaluator):
            def evaluate(self, trials, names):
                archs = [trial.arch for trial in trials]
                if archs[0][0] == 2:
                    raise ValueError("two is\ntoo much")
                return super().evaluate(trials, names)

        errors = {
            r.outcome.error for r in find(40, Raising()).records if isinstance(r.outcome, Failure)
        }
        assert any(e.startswith("ValueError: two is too much (test_search.py:") for e in errors)

    def test_not_a_finite_number_is_a_failure(self):
        class Infinite(LightEvaluator):
            def evaluate(self, trials, names):
                archs = [trial.arch for trial in trials]
                return [Measurement({"good": float("nan"), "slow": 1.0 * a[0]}) if a[1] else
                        Measurement({"good": 1.0, "slow": 2.0}) for a in archs]  # fmt: skip

        errors = {
            r.outcome.error for r in find(20, Infinite()).records if isinstance(r.outcome, Failure)
        }
        assert errors == {"good must be a finite number, but got nan"}

    def test_when_everything_fails_it_stops_and_says_why(self):
        with pytest.raises(NasplugError, match=r"all 16 architectures failed.*unlucky"):
            find(100, LightEvaluator(fails=1))

    def test_a_strategy_that_repeats_itself_is_told(self):
        class Parrot(LightStrategy):
            def ask(self, n, pending=()):
                return full_trials([(0, 0, 0, 0, 0, 0)])

        with pytest.raises(NasplugError, match="Parrot must not ask twice"):
            find(5, LightEvaluator(fails=0), Parrot())


class TestUnknown:
    def test_objective(self):
        with pytest.raises(NasplugError, match="unknown objective 'god'; did you mean good"):
            find(objectives=["god", "slow"])

    def test_objective_twice(self):
        with pytest.raises(NasplugError, match="must differ"):
            find(objectives=["good", "good"])

    def test_constraint(self):
        with pytest.raises(NasplugError, match="unknown constraint 'fast'"):
            find(constraints={"fast": {"max": 1}})
        with pytest.raises(
            NasplugError, match=r"constraints.slow.max must be a finite number, .*'x'"
        ):
            find(constraints={"slow": {"max": "x"}})
        for wrong in ({"maximum": 1}, {}, 3):
            with pytest.raises(NasplugError, match=r"constraints.slow.max=NUMBER"):
                find(constraints={"slow": wrong})


class TestResuming:
    def test_the_same_search_measures_nothing_again(self, tmp_path):
        first = find(30, run=tmp_path / "r")

        class Refusing(LightEvaluator):
            def evaluate(self, trials, names):
                raise AssertionError

        Refusing.__module__, Refusing.__qualname__ = LightEvaluator.__module__, "LightEvaluator"
        again = find(30, Refusing(), run=tmp_path / "r")
        assert history(again) == history(first)

    def test_a_raised_budget_goes_on_as_if_it_had_been_so(self, tmp_path):
        find(21, run=tmp_path / "r")
        assert history(find(50, run=tmp_path / "r")) == history(find(50))

    def test_another_configuration_is_refused_and_shown(self, tmp_path):
        find(10, run=tmp_path / "r")
        with pytest.raises(NasplugError, match="seed was 0, now 1"):
            find(10, run=tmp_path / "r", seed=1)
        with pytest.raises(NasplugError, match=r"strategy.batch was 8, now 5"):
            find(10, strategy=LightStrategy(batch=5), run=tmp_path / "r")

    def test_a_second_process_is_refused(self, tmp_path):
        with (
            lock_folder(tmp_path / "r"),
            pytest.raises(NasplugError, match="another is at work in it"),
        ):
            find(10, run=tmp_path / "r")

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(NasplugError, match="must be writable"):
            find(10, run=tmp_path / "file" / "r")

    @pytest.mark.parametrize("rest", [b'{"op_code":4,"worker', b"\x00\x00"])
    def test_half_a_line_and_a_lock_left_behind_do_no_harm(self, tmp_path, rest):
        find(20, run=tmp_path / "r")
        with (tmp_path / "r" / "journal.log").open("ab") as file:
            file.write(rest)
        (tmp_path / "r" / "journal.log.lock").symlink_to(tmp_path / "r" / "journal.log")
        start = time.monotonic()
        assert history(find(40, run=tmp_path / "r")) == history(find(40))
        assert time.monotonic() - start < 10

    def test_any_optuna_storage(self, tmp_path):
        storage = f"sqlite:///{tmp_path}/study.db"
        find(12, run=tmp_path / "r", storage=storage)
        assert history(find(20, run=tmp_path / "r", storage=storage)) == history(find(20))
        assert not (tmp_path / "r" / "journal.log").exists()
        with pytest.raises(NasplugError, match="cannot be opened"):
            find(12, run=tmp_path / "s", storage="nosuch:///x")

    def test_killed_at_random_moments(self, tmp_path):
        """Whatever it is killed at, the same command goes on, and ends as if nothing had been."""
        folder, dice = tmp_path / "r", random.Random(0)
        command = [sys.executable, str(SCRIPT), str(folder), "60", "0.03", "1"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        kept = 0
        for _ in range(4):
            process = subprocess.Popen(command, env=environment)
            journal = folder / "journal.log"
            while process.poll() is None and not (journal.exists() and trials(journal) > kept):
                time.sleep(0.005)
            time.sleep(dice.random() * 0.3)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert trials(journal) >= kept
            kept = trials(journal)
        assert 0 < kept < 60
        subprocess.run(command, check=True, env=environment)
        whole = find(60)
        table = pd.read_csv(folder / "results.csv")
        columns = ["number", "status", "good", "slow", "architecture"]
        pd.testing.assert_frame_equal(table[columns], whole.table()[columns])


def trials(journal):
    """Whole lines of trials in a journal."""
    lines = journal.read_bytes().splitlines(keepends=True)
    return sum(line.startswith(b'{"op_code":4') and line.endswith(b"\n") for line in lines)


class TestProcesses:
    def test_same_ledger_as_serial(self):
        assert history(find(30, executor=Processes(2))) == history(find(30))

    def test_a_worker_that_dies_is_a_failure_of_its_architecture(self):
        evaluator = LightEvaluator(fails=0, fatal=19)
        run = find(24, evaluator, executor=Processes(2))
        died = [r.arch for r in run.records if isinstance(r.outcome, Failure)]
        marks = [sum(g * 4**i for i, g in enumerate(r.arch)) % 19 == 0 for r in run.records]
        assert died == [r.arch for r, m in zip(run.records, marks, strict=True) if m] != []

    def test_needs_a_worker(self):
        with pytest.raises(NasplugError, match="workers"):
            Processes(0)
