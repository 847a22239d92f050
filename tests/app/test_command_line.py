"""The command line, as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
SEARCH = ("+space=ofa_mbv3", "+strategy=random", "objectives=[macs,params]", "budget=12")
"""Costs in closed form: nothing is trained."""


def test_a_search_and_the_same_again(cli):
    status, out, err = cli(*SEARCH, "run=runs/a")
    assert status == 0, err
    assert "2.18e+19 architectures" in err and "minimize macs, minimize params" in err
    assert "measured front: " in out and "runs/a/front.csv" in out
    table = pd.read_csv("runs/a/results.csv")
    assert len(table) == 12 and set(table["status"]) == {"ok"}
    status, _, err = cli(*SEARCH, "run=runs/a", "budget=15")
    assert status == 0 and "12 architectures are already in runs/a" in err
    assert len(pd.read_csv("runs/a/results.csv")) == 15


def test_settings_of_a_mode_are_there_when_it_is_chosen(cli):
    status, out, _ = cli("--cfg", "job", "mode=correlate", "correlate.n=7", "+space=ofa_mbv3")
    assert status == 0 and "scores:\n  - synflow\n" in out and "'n': 7\n" in out
    assert "correlate" not in cli("--cfg", "job", *SEARCH)[1]
    for word in ("correlate.n=7", "++correlate.n=7"):
        status, _, err = cli(*SEARCH, word)
        told = "nasplug: correlate.n is a setting of mode=correlate; choose it: mode=correlate\n"
        assert (status, err) == (1, told)
    status, _, err = cli("mode=correlate", "+space=ofa_mbv3", "correlate.m=7")
    assert (status, err.split(".")[0]) == (1, "nasplug: unknown setting of correlate 'm'")


def test_a_mode_of_ones_own_has_settings(cli):
    folder = Path("own/mode")
    folder.mkdir(parents=True)
    (folder / "count.yaml").write_text(
        "# @package _global_\n# Counts\nmode:\n  _target_: builtins.print\n  needs: []\n"
        "count:  # mode=count\n  most: 5  # how far\nlabel: x  # of it\n"
    )
    status, out, err = cli("--config-dir", "own", "mode=count", "count.most=3", "label=y")
    assert status == 0 and "'count': {'most': 3}" in out and "'label': 'y'" in out, err
    told = "nasplug: unknown setting of count 'least'. Known: most\n"
    assert cli("--config-dir", "own", "mode=count", "count.least=3")[2] == told
    told = "nasplug: label is a setting of mode=count; choose it: mode=count\n"
    assert cli("--config-dir", "own", *SEARCH, "label=y")[2] == told


def test_runs_are_named_by_their_configuration(cli):
    cli(*SEARCH)
    cli(*SEARCH, "seed=1")
    cli(*SEARCH, "budget=14")
    names = sorted(p.name[:-6] for p in Path("runs").iterdir())
    assert names == ["ofa_mbv3-random-seed0-", "ofa_mbv3-random-seed1-"]


def test_quiet_prints_only_where_the_results_are(cli):
    status, out, err = cli("-q", *SEARCH, "run=runs/a")
    assert (status, err) == (0, "")
    assert out.splitlines() == [f"runs/a/{n}" for n in ("results.csv", "front.csv", "front.png")]


def test_report_draws_and_prints_again(cli):
    cli(*SEARCH, "run=runs/a")
    Path("runs/a/front.png").unlink()
    status, out, _ = cli("mode=report", "run=runs/a")
    assert status == 0 and "measured front" in out and Path("runs/a/front.png").exists()


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_multirun(cli, launcher):
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    more = [f"hydra/launcher={launcher}", *(["hydra.launcher.n_jobs=2"] * (launcher == "joblib"))]
    arguments = [a for a in SEARCH if "strategy" not in a]
    status, out, err = cli("--multirun", *arguments, "+strategy=random,nsga2", "seed=0,1", *more)
    assert status == 0, err
    (summary,) = Path("runs/sweeps").glob("*/summary.csv")
    table = pd.read_csv(summary)
    assert len(table) == 4 == table["run"].nunique() and (table["measured"] == 12).all()
    assert table["hypervolume"].between(0.01, 1).all()
    assert "multirun: hypervolume" in out and str(summary) in out
    assert all(len(pd.read_csv(Path(run) / "results.csv")) == 12 for run in table["run"])


MISTAKES = {
    "no space": (["+strategy=random"], "choose a space: +space=NAME, one of"),
    "no strategy": (["+space=ofa_mbv3"], "choose a strategy: +strategy=NAME, one of"),
    "unknown space": (["+space=ofa_mbv4"], "unknown space 'ofa_mbv4'; did you mean ofa_mbv3?"),
    "unknown strategy": (["+strategy=lina"], "unknown strategy 'lina'; did you mean linas?"),
    "unknown task": (["task=digit"], "unknown task 'digit'; did you mean digits?"),
    "unknown key": (["+stratgy=linas"], "unknown key 'stratgy'; did you mean strategy?"),
    "unknown knob": ([*SEARCH, "space.widthmult=1"], "did you mean width_mult?"),
    "wrong type": ([*SEARCH, "space.width_mult=wide"], "must be float, above 0, but got 'wide'"),
    "wrong inner type": ([*SEARCH, "evaluator.training.lr=fast"], "lr of Schedule must be float"),
    "budget 0": ([*SEARCH, "budget=0"], "budget must be a whole number of at least 1"),
    "budget -1": ([*SEARCH, "budget=-1"], "budget must be a whole number of at least 1"),
    "budget ten": ([*SEARCH, "budget=ten"], "budget must be a whole number of at least 1"),
    "objective": (
        [*SEARCH, "objectives=[top7,macs]"],
        "unknown objective 'top7'; did you mean top1?",
    ),
    "too many objectives": (
        [*SEARCH, "+strategy=ga"],
        "ga cannot search for 2 objectives; these can",
    ),
    "no such folder": (
        [*SEARCH, "task=image_folder", "task.path=nowhere"],
        "nowhere/train does not exist",
    ),
    "constraint": ([*SEARCH, "constraints.params=3"], "constraints.params.max=NUMBER"),
    "size": ([*SEARCH, "space.image_size=48"], "must fit the task, whose image_size is"),
    "export of nothing": (["mode=export"], "run=runs/NAME"),
    "export of no run": (["mode=export", "run=nowhere"], "must be the folder of a run"),
    "log level": ([*SEARCH, "log=loud"], "unknown log level 'loud'"),
    "grammar": ([*SEARCH, "foo"], "typed KEY=VALUE, but got 'foo'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_in_one_line(cli, mistake):
    arguments, answer = MISTAKES[mistake]
    if mistake == "too many objectives":
        arguments = [a for a in arguments if a != "+strategy=random"]
    status, out, err = cli(*arguments)
    assert status == 1 and out == ""
    assert err.startswith("nasplug: ") and err.count("\n") == 1, err
    assert answer in err
    assert not Path("runs").exists()


def test_a_changed_configuration_is_shown(cli):
    cli(*SEARCH, "run=runs/a")
    status, _, err = cli(*SEARCH, "run=runs/a", "seed=1")
    assert status == 1 and "seed was 0, now 1" in err


def start(folder, *arguments, limit=None):
    """The command in a process of its own."""

    def restrain():
        import resource

        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # a shell's background job ignores it
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "nasplug", *arguments], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=restrain,
    )  # fmt: skip


def test_ctrl_c_says_what_is_saved_and_how_to_go_on(tmp_path):
    command = [a for a in SEARCH if "objectives" not in a and "budget" not in a]
    process = start(tmp_path, *command, "objectives=[latency,macs]", "budget=500", "run=runs/a")
    journal = tmp_path / "runs" / "a" / "journal.log"
    deadline = time.monotonic() + 90
    try:
        while not (journal.exists() and journal.read_bytes().count(b'"op_code":4') >= 3):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("nasplug: stopped. What was measured is safe in runs/a")
    assert "run the same command again" in err and "Traceback" not in err
    assert len(pd.read_csv(tmp_path / "runs" / "a" / "results.csv")) >= 3


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    process = start(tmp_path, *SEARCH[:3], "budget=300", "run=runs/a", limit=200_000)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1 and "Traceback" not in err
    assert "runs/a must be writable, but: File too large" in err
    process = start(tmp_path, *SEARCH[:3], "budget=300", "run=runs/a")
    _, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert len(pd.read_csv(tmp_path / "runs" / "a" / "results.csv")) == 300


def test_plugins_lists_what_is_installed(cli):
    status, out, _ = cli("mode=plugins")
    assert status == 0
    assert "space: ofa_mbv3, ofa_mbv3_w12" in out and "task: digits, image_folder" in out


def test_a_broken_plugin_is_named_and_the_others_work(tmp_path):
    info = tmp_path / "site" / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nasplug]\nbroken = nasplug_broken\n")
    (tmp_path / "site" / "nasplug_broken.py").write_text("raise ValueError('no\\nluck')\n")
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "nasplug", "mode=plugins"], cwd=tmp_path, text=True,
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=True,
    )  # fmt: skip
    line = "plug-in 'broken' (nasplug_broken) does not load: no luck"
    assert f"nasplug: {line}; the others work" in done.stderr and line in done.stdout
    assert "ofa_mbv3" in done.stdout


def test_two_plugins_with_one_choice_are_both_named(tmp_path):
    for name in ("one", "two"):
        info = tmp_path / "site" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[nasplug]\n{name} = nasplug_{name}\n")
        package = tmp_path / "site" / f"nasplug_{name}"
        (package / "conf" / "space").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "conf" / "space" / "same.yaml").write_text("_target_: x.y\n")
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "nasplug", "mode=plugins"], cwd=tmp_path, text=True,
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "space/same must be offered by one plug-in, but 'one' and 'two' both do" in done.stderr


def test_results_are_json_and_csv_that_anything_reads(cli):
    cli(*SEARCH, "run=runs/a")
    front = pd.read_csv("runs/a/front.csv")
    assert list(front) == [
        "number", "status", "macs", "params", "architecture", "config", "seconds", "error",
    ]  # fmt: skip
    config = json.loads(front["config"][0])
    assert config["stage1.depth"] in (2, 3, 4)


WAITING = """
import os, sys
import nasplug.app.command_line.main as command_line
assert "torch" not in sys.modules, "libgomp has read its settings"
command_line.wait_briefly()
print(os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "10000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, "None"),
    ],
)
def test_threads_wait_briefly_unless_the_user_says_otherwise(given, expected):
    environment = {
        k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    command = [sys.executable, "-c", WAITING]
    done = subprocess.run(command, env={**environment, **given}, capture_output=True, text=True)
    assert done.stdout == f"{expected}\n", done.stderr
