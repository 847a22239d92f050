"""None of many wrong command lines ends in a traceback: each is answered in one clear line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attacks.command_lines import FAST, WORKS, fault, prepare, wrong

ROOT = Path(__file__).parents[2]
WRONG = wrong()


@pytest.fixture
def prepared(cli, tmp_path):
    prepare(tmp_path)
    return cli


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """The folder of a search, made once."""
    folder = tmp_path_factory.mktemp("searched")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    command = [sys.executable, "-m", "nasplug", "-q", *FAST, "run=searched"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return folder / "searched"


def test_there_are_many():
    assert len(WRONG) >= 196


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_command_line_is_answered_in_one_line(prepared, searched, name):
    if "run=searched" in WRONG[name]:
        import shutil

        shutil.copytree(searched, "searched")
    status, out, err = prepared(*WRONG[name])
    assert fault(status, out, err) is None, (fault(status, out, err), status, err)


@pytest.mark.parametrize("name", WORKS)
def test_an_odd_command_line_that_is_right_works(prepared, name):
    status, _, err = prepared(*WORKS[name])
    assert status == 0, err


def test_letters_become_the_folder_s_name(cli):
    cli(*FAST, "run=runs/späße")
    assert Path("runs/späße/results.csv").exists()
    cli(*FAST, "run=runs/it's (mine)")
    assert Path("runs/it's (mine)/results.csv").exists()


SAMPLE = [*list(WRONG)[::25], "setting as a flag", "list with a space", "multirun of nothing"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_in_a_process_of_its_own(tmp_path, name):
    prepare(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    command = [sys.executable, "-m", "nasplug", *WRONG[name]]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert fault(done.returncode, done.stdout, done.stderr) is None, done.stderr
