"""The lock between processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nasplug.toolkit.system.locks import LockTimeout, exclusive_lock

ROOT = Path(__file__).parents[1]
HOLD = """
import os, sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from nasplug.toolkit.system.locks import exclusive_lock
with exclusive_lock(Path({path!r}), wait=False):
    print("held", flush=True)
    {then}
    time.sleep(60)
"""


def holder(path: Path, then: str = "") -> subprocess.Popen[str]:
    code = HOLD.format(root=str(ROOT), path=str(path), then=then)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_is_free_however_its_holder_ends(end: int, tmp_path: Path) -> None:
    process = holder(tmp_path / "lock")
    with pytest.raises(LockTimeout), exclusive_lock(tmp_path / "lock", wait=False):
        pass
    process.send_signal(end)
    process.communicate()
    with exclusive_lock(tmp_path / "lock", wait=False):
        pass


def test_it_is_waited_for(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with exclusive_lock(tmp_path / "lock", wait=True):
            order.append("second")

    thread = threading.Thread(target=second)
    with exclusive_lock(tmp_path / "lock", wait=False):
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_an_error_within_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError), exclusive_lock(tmp_path / "lock", wait=False):
        raise ValueError
    with exclusive_lock(tmp_path / "lock", wait=False):
        pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(OSError), exclusive_lock(tmp_path / "lock", wait=False):
        pass
    assert not target.exists()
    target.write_text("as it was")
    with pytest.raises(OSError), exclusive_lock(tmp_path / "lock", wait=False):
        pass
    assert target.read_text() == "as it was"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_does_not_free_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with exclusive_lock(tmp_path / "lock", wait=False):
        child = context.Process(target=int)
        child.start()
        child.join()
        with pytest.raises(LockTimeout), exclusive_lock(tmp_path / "lock", wait=False):
            pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_does_not_keep_it_when_its_parent_is_killed(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock", "os.fork() or print(os.getpid(), flush=True)")
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    try:
        os.kill(child, 0)
        with exclusive_lock(tmp_path / "lock", wait=False):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()
