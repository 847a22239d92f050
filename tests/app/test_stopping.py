"""Ctrl-C and SIGTERM: one line, soon, whatever the program is busy with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nasplug import NasplugError
from nasplug.app.command_line.stopping import orderly
from nasplug.contracts.errors import Stopped

ROOT = Path(__file__).parents[2]
BUSY = {
    "python": "while True: pass",
    "sleep": "time.sleep(60)",
    "native code": "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**8)",
    "import": "sys.path.insert(0, FOLDER); import slow_to_import",
}
ORDERLY = {
    "written": ("try:\n  {}\n finally:\n  open('written', 'w').close()", True),
    "swallowed": (
        "while True:\n  try:\n   {}\n  except BaseException: open('written', 'w').close()",
        True,
    ),
    "another error": (
        "try:\n  {}\n except BaseException:\n  open('written', 'w').close(); raise ValueError",
        True,
    ),
    "in a destructor": (
        "class Odd:\n  def __del__(self):\n   {}\n Odd(); open('written', 'w').close(); time.sleep(60)",
        True,
    ),
}
START = """
import hashlib, os, signal, sys, time
from nasplug.app.command_line.stopping import install, orderly
FOLDER = os.getcwd()
install()
print("ready", flush=True)
"""


def run(code, folder, numbers=(signal.SIGINT,), gap=0.3, **more):
    """Run `code` in `folder`, send the signals once it is ready; (status, what it said, seconds)."""
    process = subprocess.Popen(
        [sys.executable, "-c", START + code], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, **more,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    time.sleep(gap)
    begin = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(gap)
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()  # one that did not stop would go on for ever
    return process.returncode, said, time.monotonic() - begin


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY.keys())
def test_where_nothing_is_to_be_put_in_order_it_ends_at_once(busy, tmp_path):
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(60)")
    status, said, seconds = run(busy, tmp_path)
    assert status == 130 and seconds < 2
    assert said == "nasplug: stopped; to go on, run the same command again\n"


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("shape", ORDERLY)
def test_what_is_to_be_written_is_written_first(shape, twice, tmp_path):
    code, written = ORDERLY[shape]
    code = f"with orderly('stopped in order'):\n {code.format('time.sleep(60)')}"
    status, said, seconds = run(code, tmp_path, (signal.SIGINT,) * (1 + twice))
    assert (status, said) == (130, "nasplug: stopped in order\n")
    assert seconds < (1.5 if twice else 3.3)
    assert (tmp_path / "written").exists() == written


@pytest.mark.parametrize(("twice", "least", "most"), [(False, 1.5, 3.3), (True, 0, 1.5)])
def test_native_code_is_given_two_seconds_and_none_at_a_second_signal(twice, least, most, tmp_path):
    code = "with orderly('stopped in order'):\n hashlib.pbkdf2_hmac('sha256', b'', b'', 10**8)"
    status, said, seconds = run(code, tmp_path, (signal.SIGINT,) * (1 + twice))
    assert (status, said) == (130, "nasplug: stopped in order\n") and least < seconds < most


def test_a_schedulers_sigterm_is_the_same_with_its_own_status(tmp_path):
    code = "with orderly('stopped in order'):\n time.sleep(60)"
    status, said, _ = run(code, tmp_path, [signal.SIGTERM])
    assert (status, said) == (143, "nasplug: stopped in order\n")


def test_what_is_ignored_stays_ignored(tmp_path):
    """As with nohup, or a shell's job in the background."""
    code = "time.sleep(1); os._exit(5)"
    status, said, _ = run(
        code, tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    )
    assert (status, said) == (5, "")


def test_a_forked_process_is_stopped_as_any_other_and_stops_nobody(tmp_path):
    code = """
child = os.fork()
if child == 0:
    time.sleep(60)
time.sleep(0.5)  # CPython loses a signal that comes while it forks
os.kill(child, signal.SIGTERM)
_, status = os.waitpid(child, 0)
time.sleep(0.5)
os._exit(7 if os.WTERMSIG(status) == signal.SIGTERM else 8)
"""
    assert run(code, tmp_path, [])[:2] == (7, "")


def test_processes_that_it_started_end_with_it(tmp_path):
    code = """
import multiprocessing
with orderly("stopped in order"):
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    open("child", "w").write(str(process.pid))
    time.sleep(60)
"""
    assert run(code, tmp_path, gap=1.0)[0] == 130
    time.sleep(0.2)
    stat = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_in_a_users_own_program_it_is_an_error_to_be_caught():
    with pytest.raises(Stopped, match="safe in r"), orderly("safe in r"):
        raise KeyboardInterrupt
    with pytest.raises(NasplugError, match="other"), orderly("safe in r"):
        raise NasplugError("other")
