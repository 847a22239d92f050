"""A run's folder, looked at while a search is at work in it, and with its ledger elsewhere."""

import os
import subprocess
import sys
import time

import pytest
from light import LightEvaluator, LightSpace, LightStrategy

import nasplug
from nasplug import NasplugError, search

ALLOW = ["light"]
SEARCH = """
import sys, light, nasplug
parts = light.LightSpace(), light.LightEvaluator(0.01), light.LightStrategy()
nasplug.search(*parts, ["good", "slow"], 150, run=sys.argv[1])
"""


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def find(folder, budget, **more):
    return search(
        LightSpace(),
        LightEvaluator(),
        LightStrategy(),
        ["good", "slow"],
        budget,
        run=folder,
        **more,
    )


def timeless(run):
    return [(r.number, r.arch, getattr(r.outcome, "values", None)) for r in run.records]


@pytest.fixture(autouse=True)
def importable():
    """`open_run` builds what config.yaml names."""
    sys.modules.setdefault("light", sys.modules[LightSpace.__module__])


def test_while_a_search_is_at_work(tmp_path):
    folder = tmp_path / "r"
    process = subprocess.Popen([sys.executable, "-c", SEARCH, str(folder)], env=environment())
    lengths, refused = [], []
    while process.poll() is None:
        try:
            run = nasplug.open_run(folder, ALLOW)
            assert [r.number for r in run.records] == list(range(len(run)))
            assert 0 < len(run.front()) <= len(run) or not lengths
            lengths.append(len(run))
        except NasplugError as error:
            refused.append(str(error))
        time.sleep(0.02)
    assert process.returncode == 0, "the search was disturbed"
    assert lengths == sorted(lengths) and len(set(lengths)) > 3
    assert all("measured nothing yet" in r or "with its config.yaml" in r for r in refused)
    assert timeless(nasplug.open_run(folder, ALLOW)) == timeless(find(None, 150))


def test_it_takes_no_lock_and_changes_nothing(tmp_path):
    find(tmp_path, 20)
    with (tmp_path / "journal.log").open("ab") as file:
        file.write(b'{"op_code":4,"half')
    before = {p.name: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.iterdir()}
    assert len(nasplug.open_run(tmp_path, ALLOW)) == 20
    assert {p.name: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.iterdir()} == before


def test_results_csv_is_only_a_view(tmp_path):
    whole = find(tmp_path, 20)
    (tmp_path / "results.csv").write_text("somebody was here\n")
    assert nasplug.open_run(tmp_path, ALLOW).records == whole.records


@pytest.mark.parametrize("storage", ["memory", "sqlite:///{}/s.db"])
def test_with_the_ledger_elsewhere_the_view_is_read(tmp_path, storage):
    whole = find(tmp_path / "r", 20, storage=storage.format(tmp_path))
    again = nasplug.open_run(tmp_path / "r", ALLOW)
    assert timeless(again) == timeless(whole) and again.front().equals(
        nasplug.open_run(tmp_path / "r", ALLOW).front()
    )


def test_nothing_measured_yet(tmp_path):
    find(tmp_path, 5)
    for name in ("journal.log", "results.csv"):
        (tmp_path / name).unlink()
    with pytest.raises(NasplugError, match="measured nothing yet"):
        nasplug.open_run(tmp_path, ALLOW)


def test_mode_repair(tmp_path):
    folder = tmp_path / "r"
    find(folder, 20)
    journal = folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:7], b"\0\0\0\n", *lines[8:]]))
    command = [sys.executable, "-m", "nasplug", f"run={folder}", "allow=[light]"]
    report = subprocess.run(
        [*command, "mode=report"], env=environment(), capture_output=True, text=True
    )
    assert report.returncode == 1 and "Traceback" not in report.stderr
    assert f"line 8 of {journal} must be a whole record, but it has NUL bytes" in report.stderr
    assert report.stderr.strip().endswith(f"type: python -m nasplug mode=repair run={folder}")
    done = subprocess.run(
        [*command, "mode=repair"], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "dropped line 8: it has NUL bytes" in done.stdout
    assert "19 whole records kept, 1 lines dropped" in done.stdout
    assert timeless(find(folder, 40)) == timeless(find(None, 40))
    again = subprocess.run(
        [*command, "mode=repair"], env=environment(), capture_output=True, text=True
    )
    assert "40 records, all whole; nothing was changed" in again.stdout


@pytest.mark.parametrize("words", [[], ["run=nowhere"], ["run={}"]])
def test_mode_repair_of_what_is_no_run(tmp_path, words):
    command = [sys.executable, "-m", "nasplug", "mode=repair", *(w.format(tmp_path) for w in words)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir()), "something was made"
