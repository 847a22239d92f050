"""A reader who closes the pipe early is told nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEARCH = ["+space=ofa_mbv3", "+strategy=random", "objectives=[params,macs]", "budget=12", "run=a"]


def start(folder, arguments, **streams):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    command = [sys.executable, "-m", "nasplug", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **streams)


@pytest.mark.parametrize(
    "arguments",
    [["mode=plugins"], ["--help"], ["--cfg", "job"], SEARCH, ["-q", *SEARCH], ["--version"]],
    ids=" ".join,
)
def test_a_closed_pipe_ends_silently(tmp_path, arguments):
    with start(tmp_path, arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert "Traceback" not in err and "BrokenPipe" not in err and "Exception" not in err, err


def test_what_the_reader_wants_is_there(tmp_path):
    with start(
        tmp_path, ["mode=plugins"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        first = process.stdout.readline()
        process.stdout.close()
        assert "(" in first and process.stderr.read() == ""


def test_a_search_whose_messages_nobody_reads_is_finished(tmp_path):
    with start(tmp_path, SEARCH, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stderr.close()
        out = process.stdout.read()
    assert process.returncode == 0
    assert "a/front.csv" in out and (tmp_path / "a" / "front.csv").exists()
