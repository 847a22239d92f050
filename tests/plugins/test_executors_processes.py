"""Worker processes: the same ledger, whoever dies, hangs, or does not pickle."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile import Hostile, Timed, fatal
from light import LightEvaluator, LightSpace, LightStrategy
from nasplug_executors.processes import Processes

from nasplug import NasplugError, search
from nasplug.contracts.types import Failure, Measurement
from nasplug.engine.executors.serial import Serial

TESTS = Path(__file__).parents[1]


def find(evaluator, executor, budget=32, **more):
    return search(
        LightSpace(), evaluator, LightStrategy(16), ["good", "slow"], budget, executor=executor, **more
    )  # fmt: skip


def history(run):
    return [
        (r.number, r.arch, getattr(r.outcome, "values", None), getattr(r.outcome, "error", None))
        for r in run.records
    ]


@pytest.mark.parametrize("preferred_batch", [1, 3])
def test_same_ledger_as_serial(preferred_batch):
    evaluator = LightEvaluator()
    evaluator.preferred_batch = preferred_batch
    assert history(find(evaluator, Processes(2), 60)) == history(find(evaluator, Serial(), 60))


@pytest.mark.parametrize("preferred_batch", [1, 4])
@pytest.mark.parametrize(("kind", "how"), [
    ("exits", "exit status 9"), ("segfault", "SIGSEGV"), ("abort", "SIGABRT"),
])  # fmt: skip
def test_a_worker_that_dies_takes_only_its_own_architecture_along(kind, how, preferred_batch):
    executor = Processes(2)
    run = find(Hostile(kind, preferred_batch=preferred_batch), executor)
    victims = [r for r in run.records if fatal(r.arch)]
    assert victims and [r for r in run.records if isinstance(r.outcome, Failure)] == victims
    error = f"its process died ({how}; out of memory, or a crash in native code)"
    assert {r.outcome.error for r in victims} == {error}
    assert len(victims) < executor.restarts <= 2 * len(victims)  # once beside others, once alone


@pytest.mark.parametrize("preferred_batch", [1, 4])
@pytest.mark.parametrize("kind", ["hang", "hang_with_the_gil"])
def test_what_takes_too_long_is_a_failure(kind, preferred_batch):
    executor, start = Processes(2, timeout=0.5), time.monotonic()
    run = find(Hostile(kind, preferred_batch=preferred_batch), executor)
    victims = [r for r in run.records if fatal(r.arch)]
    assert victims and [r for r in run.records if isinstance(r.outcome, Failure)] == victims
    assert {r.outcome.error for r in victims} == {
        "it took longer than executor.timeout=0.5 seconds"
    }
    assert len(victims) <= executor.restarts <= 2 * len(victims)
    assert time.monotonic() - start < 60


def test_a_generous_timeout_changes_nothing():
    with_timeout = find(Hostile("none"), Processes(2, timeout=1000))
    assert history(with_timeout) == history(find(Hostile("none"), Serial()))


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_positive_number(timeout):
    with pytest.raises(NasplugError, match="timeout of executor=processes must be a positive"):
        Processes(2, timeout)


def test_serial_cannot_end_what_hangs_and_says_so():
    with pytest.raises(NasplugError, match=r"executor=processes executor.workers=1"):
        Serial(timeout=5)


def test_what_workers_leave_behind_ends_with_them():
    run = find(Hostile("leaves_children"), Processes(2))
    assert all(isinstance(r.outcome, Measurement) for r in run.records)
    assert not [line for line in commands() if "sleep 1000" in line]


@pytest.mark.parametrize("guardian", ["guardian lives", "guardian killed"])
@pytest.mark.parametrize("kind", ["hang", "hang_with_the_gil", "leaves_children"])
def test_when_the_search_is_killed_its_workers_and_theirs_are_gone(kind, guardian, tmp_path):
    if guardian == "guardian killed" and kind == "hang_with_the_gil":
        pytest.skip("a worker that cannot run Python code has nobody left who could end it")
    begun = tmp_path / "begun"
    mark = f"HOSTILE_BEGUN={begun}"
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "hostile.py"), str(tmp_path / "r"), "2", kind, "64", "0.3"],
        env={**environment(), "HOSTILE_BEGUN": str(begun)},
    )
    deadline = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    running = marked(mark)
    assert len(running) >= 4  # the search, two workers, the guardian, and more
    if guardian == "guardian killed":
        for pid, command in running.items():
            if "guardian.py" in command:
                os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 3
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not marked(mark)


def marked(mark):
    """Process id to command line of the living that have `mark` in their environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                        found[int(entry.name)] = command
            except OSError:
                continue
    return found


def commands():
    return subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_a_mistake_of_the_users_crosses_as_itself():
    with pytest.raises(NasplugError, match=r"^weights must exist$"):
        find(Mistaken(), Processes(2))


class Mistaken(LightEvaluator):
    def evaluate(self, trials, names):
        raise NasplugError("weights must exist")


class Held(LightEvaluator):
    def __init__(self):
        super().__init__()
        self.parts = {"hook": [lambda: None]}


class Unloadable(LightEvaluator):
    def __setstate__(self, state):
        raise ImportError("no module named nowhere")


class FatalToLoad(LightEvaluator):
    def __setstate__(self, state):
        os._exit(3)


def test_an_evaluator_that_does_not_pickle_is_named():
    with pytest.raises(NasplugError, match=r"evaluators\[0\]\.parts\['hook'\]\[0\] is <function"):
        find(Held(), Processes(2))

    class Local(LightEvaluator):
        pass

    with pytest.raises(NasplugError, match=r"Local.* at the top of a module"):
        find(Local(), Processes(2))


def test_an_evaluator_that_does_not_load_is_told():
    with pytest.raises(NasplugError, match="got ImportError: no module named nowhere"):
        find(Unloadable(), Processes(2))
    with pytest.raises(NasplugError, match=r"ended \(exit status 3\) while they imported"):
        find(FatalToLoad(), Processes(2))


UNGUARDED = """
from light import LightEvaluator, LightSpace, LightStrategy
from nasplug import search
from nasplug_executors.processes import Processes
search(LightSpace(), LightEvaluator(), LightStrategy(), ["good", "slow"], 10, executor=Processes(2), {})
"""


@pytest.mark.parametrize("more", ["", "run='r'"])
def test_a_script_without_a_guard_is_told_what_to_write(more, tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED.format(more))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )  # fmt: skip
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last.startswith("nasplug.contracts.errors.NasplugError: with executor=processes every")
    assert 'put `if __name__ == "__main__":` before' in last
    assert done.stderr.count("Traceback") == 1  # the script's own: its workers say nothing


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}


@pytest.mark.parametrize("preferred_batch", [1, 2])
def test_metrics_of_time_are_measured_alone(preferred_batch, tmp_path):
    runs = []
    for executor in (Serial(), Processes(2)):
        run = search(
            LightSpace(), Timed(str(tmp_path), preferred_batch=preferred_batch), LightStrategy(20),
            ["alone", "good"], 40, also=["slow"], executor=executor,
        )  # fmt: skip
        assert {r.outcome.values["alone"] for r in run.records} == {1.0}
        assert all(list(r.outcome.values) == ["alone", "good", "slow"] for r in run.records)
        assert all(0 <= r.outcome.load <= os.cpu_count() for r in run.records)
        runs.append(history(run))
    assert runs[0] == runs[1] and len(runs[0]) == 40


def test_without_runs_alone_they_would_not_be(tmp_path):
    """The measure of the test above can tell: together, two are under way."""
    evaluator = Timed(str(tmp_path))
    evaluator.runs_alone = ()
    run = search(
        LightSpace(), evaluator, LightStrategy(20), ["alone", "good"], 40, executor=Processes(2)
    )
    assert 2.0 in {r.outcome.values["alone"] for r in run.records}
    assert {r.outcome.load for r in run.records} == {None}


def test_the_load_is_kept_in_the_ledger(tmp_path):
    def once():
        return search(
            LightSpace(), Timed(str(tmp_path)), LightStrategy(), ["alone", "good"], 8,
            run=tmp_path / "runs" / "r",
        )  # fmt: skip

    (tmp_path / "runs").mkdir()
    first, again = once(), once()
    assert [r.outcome.load for r in again.records] == [r.outcome.load for r in first.records]


def test_a_pool_that_nobody_closes_does_not_hold_up_the_end():
    script = (
        "from nasplug_executors.processes import Processes\n"
        "from light import LightEvaluator, LightSpace\n"
        "from nasplug.engine.safe_evaluation import SafeEvaluation\n"
        "from nasplug import EvaluatorChain, full_trials\n"
        "if __name__ == '__main__':\n"
        "    measure = SafeEvaluation(EvaluatorChain([LightEvaluator(fails=0)]), ('good',))\n"
        "    print(list(Processes(2).run(measure, full_trials([(1,) * 6]), 1)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
    )
    assert "Measurement" in done.stdout, done.stderr


def test_it_pickles_what_is_measured_once():
    class Counting(LightEvaluator):
        def __reduce__(self):
            counted.append(1)
            return LightEvaluator, ()

    counted = []
    find(Counting(), Processes(2), 48)
    assert len(counted) == 1
    assert pickle.loads(pickle.dumps(Counting())).metrics == LightEvaluator.metrics
