"""A shorter run of `kill_points.py`."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_moment_at_which_a_file_is_touched():
    """In a process of its own, which forks: this one has threads."""
    script = Path(__file__).with_name("kill_points.py")
    done = subprocess.run([sys.executable, str(script), "6"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 2 and all(int(line[-5]) >= 20 for line in lines), done.stdout
