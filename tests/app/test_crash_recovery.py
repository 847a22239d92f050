"""A serial search whose process ended while it measured goes on at its second start."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile import Hostile, fatal
from light import LightEvaluator, LightSpace, LightStrategy

from nasplug import search
from nasplug.app.crash_recovery import UNDER_WAY, CrashRecovery
from nasplug.contracts.types import Failure, Measurement, Trial
from nasplug.engine.executors.serial import Serial

TESTS = Path(__file__).parents[1]


def start(folder, kind, budget=24, seconds=0.0):
    """The status of `python hostile.py`."""
    return subprocess.run(
        [sys.executable, str(TESTS / "hostile.py"), str(folder), "serial", kind, str(budget), str(seconds)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        capture_output=True, text=True,
    )  # fmt: skip


def find(folder, evaluator, budget=24):
    return search(
        LightSpace(), evaluator, LightStrategy(), ["good", "slow"], budget, run=folder
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["exits", "segfault", "abort"])
def test_what_ended_the_process_is_a_failure_at_the_second_start(kind, tmp_path):
    first = start(tmp_path / "r", kind)
    assert first.returncode != 0 and (tmp_path / "r" / UNDER_WAY).exists()
    starts, done = 1, first
    while done.returncode and starts < 10:
        done, starts = start(tmp_path / "r", kind), starts + 1
    run = find(tmp_path / "r", Hostile(kind))  # all is measured: nothing crashes here
    victims = [r for r in run.records if fatal(r.arch)]
    assert len(run.records) == 24 and starts == 1 + len(victims), done.stderr
    assert [r for r in run.records if isinstance(r.outcome, Failure)] == victims
    assert all("with executor=processes a search goes on" in r.outcome.error for r in victims)
    assert not (tmp_path / "r" / UNDER_WAY).exists()


def test_what_was_only_killed_is_measured_as_if_it_had_not_been(tmp_path):
    script, folder = str(TESTS / "hostile.py"), str(tmp_path / "r")
    command = [sys.executable, script, folder, "serial", "none", "24", "0.5"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    for _ in range(2):  # twice at the very same architecture
        process = subprocess.Popen(command, env=environment)
        journal = tmp_path / "r" / "journal.log"
        while not journal.exists() or journal.read_bytes().count(b'"architecture"') < 2:
            time.sleep(0.01)
        time.sleep(0.1)
        process.kill()
        process.wait()
    subprocess.run(command, env=environment, check=True)
    expected = search(LightSpace(), Hostile(), LightStrategy(), ["good", "slow"], 24)
    run = find(tmp_path / "r", Hostile("none", 0.5))
    assert [(r.arch, r.outcome.values) for r in run.records] == [
        (r.arch, r.outcome.values) for r in expected.records
    ]


class Unpicklable(LightEvaluator):
    def __init__(self):
        super().__init__(fails=0)
        self.seen = []

    def __reduce__(self):
        raise TypeError("cannot")

    def evaluate(self, trials, names):
        archs = [trial.arch for trial in trials]
        self.seen += archs
        return super().evaluate(trials, names)


def test_what_does_not_pickle_is_tried_twice(tmp_path):
    probe = Unpicklable()
    archs = [r.arch for r in find(tmp_path / "probe", probe).records]
    for ends, tried in ((1, True), (2, False)):
        folder, evaluator = tmp_path / str(ends), Unpicklable()
        folder.mkdir()
        (folder / UNDER_WAY).write_text(json.dumps([[Trial(archs[3]), ends]]))
        run = find(folder, evaluator)
        assert (archs[3] in evaluator.seen) == tried
        outcome = run.records[3].outcome
        assert isinstance(outcome, Measurement if tried else Failure)
        assert tried or "the process ended 2 times while it was measured" in outcome.error


def test_without_an_executor_that_isolates_what_ended_two_processes_is_a_failure(tmp_path):
    trial, asked = Trial((0,) * 6), []

    def measure(trials):
        asked.extend(trials)
        return [Measurement({})] * len(trials)

    for ends in (1, 2):
        (tmp_path / UNDER_WAY).write_text(json.dumps([[trial, ends]]))
        recovery = CrashRecovery(Serial(), tmp_path, lambda: None)
        ((_, outcome),) = recovery.run(measure, [trial], 1)
        recovery.close()
        assert isinstance(outcome, Failure) == (ends == 2)
    assert asked == [trial]


def test_the_executor_that_isolates_is_made_only_where_something_ended(tmp_path):
    made = []
    CrashRecovery(Serial(), tmp_path, lambda: made.append(1)).close()
    assert not made
    (tmp_path / UNDER_WAY).write_text(json.dumps([[Trial((1,)), 1]]))
    CrashRecovery(Serial(), tmp_path, lambda: made.append(1)).close()
    assert made


def test_it_counts_how_often_a_process_ended(tmp_path):
    class Looking(Unpicklable):
        def evaluate(self, trials, names):
            archs = [trial.arch for trial in trials]
            notes.append((archs[0], json.loads((tmp_path / "r" / UNDER_WAY).read_text())))
            return super().evaluate(trials, names)

    notes = []
    run = find(tmp_path / "r", Looking(), 4)
    assert notes == [(r.arch, [[[list(r.arch), 1.0, 0], 1]]) for r in run.records]


@pytest.mark.parametrize("rest", ["", "{", "[[1]]", "[[[1], 2], 3]", "\x00", "null"])
def test_half_a_file_does_no_harm(rest, tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / UNDER_WAY).write_text(rest)
    assert len(find(folder, LightEvaluator(), 8).records) == 8


def test_noting_costs_next_to_nothing(tmp_path):
    """Of the order of 20 microseconds, beside about a millisecond for the journal."""
    arch = (3,) * 45

    def measure(archs):
        return [Measurement({})] * len(archs)

    def seconds(executor, n=2000):
        begin = time.process_time()
        assert len(list(executor.run(measure, [arch] * n, 1))) == n
        return (time.process_time() - begin) / n

    recovery = CrashRecovery(Serial(), tmp_path, lambda: None)
    cost = seconds(recovery) - seconds(Serial())
    recovery.close()
    print(f"{cost * 1e6:.0f} microseconds a measurement")
    assert cost < 3e-4
