"""The progress of long work: in a pipe a line now and then, in a terminal one live line."""

import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nasplug import progress

ROOT = Path(__file__).parents[2]
SEARCH = ["+space=ofa_mbv3", "+strategy=random", "objectives=[params,macs]", "budget=40", "run=a"]


@pytest.fixture
def lines(caplog):
    with caplog.at_level(logging.INFO, logger="nasplug"):
        yield lambda: [re.sub(r"  \d+ s$", "", r.message) for r in caplog.records]


def test_a_line_a_tenth_and_one_of_the_end(lines):
    with progress("work", 100) as bar:
        for i in range(100):
            bar.advance(loss=i)
        bar.advance(0, loss="final")
    assert lines()[:2] == ["work 10/100  loss 9", "work 20/100  loss 19"]
    assert lines()[-1] == "work 100/100  loss final" and len(lines()) == 10


def test_work_that_stops_early_says_where(lines):
    with pytest.raises(KeyboardInterrupt), progress("work", 100) as bar:
        bar.advance(15)
        raise KeyboardInterrupt
    assert lines() == ["work 15/100  "] and len(lines()) == 1


def test_nothing_is_said_twice_and_nothing_of_no_work(lines):
    with progress("work", 10) as bar:
        bar.advance(5, loss=1)
    with progress("none", 0):
        pass
    with progress("all at once", 0) as bar:
        bar.advance(0)
    assert lines() == ["work 5/10  loss 1"]


def test_a_quiet_level_is_silent(caplog, capfd):
    with caplog.at_level(logging.WARNING, logger="nasplug"), progress("work", 10) as bar:
        bar.advance(10)
    assert not caplog.records and capfd.readouterr() == ("", "")


def in_terminal(folder, arguments):
    """What a terminal of 200 columns gets on standard error, control sequences left out."""
    ours, theirs = pty.openpty()
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "TERM": "xterm"}
    command = [sys.executable, "-m", "nasplug", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=theirs
    ):
        os.close(theirs)
        got = b""
        try:
            while some := os.read(ours, 65536):
                got += some
        except OSError:  # how a terminal ends
            pass
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", got.decode()).replace("\r", "\n").splitlines()


def test_a_terminal_ends_with_the_final_state_and_nothing_is_there_twice(tmp_path):
    shown = [line for line in in_terminal(tmp_path, SEARCH) if line.strip()]
    for word in ("space  ", "objectives  ", "strategy  ", "results  "):
        assert len([line for line in shown if line.startswith(word)]) == 1, word
    last = shown[-1]
    assert "40/40" in last and "best params" in last and "hypervolume" in last
    import pandas as pd

    front = pd.read_csv(tmp_path / "a" / "front.csv")
    assert f"best params {front['params'].min():.4g}" in last


def test_a_quiet_search_in_a_terminal_is_silent(tmp_path):
    assert not [line for line in in_terminal(tmp_path, ["-q", *SEARCH]) if line.strip()]
