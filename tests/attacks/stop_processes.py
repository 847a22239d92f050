"""Sends SIGINT, SIGTERM or SIGKILL to a nasplug at many moments, and looks at what is left.

    python tests/attacks/stop_processes.py KIND [MOMENTS [WORK]]

KIND is int, int-twice, term or kill. WORK is one of search, processes and train; without it all
three take turns. A moment is good if the process ends within 3 seconds with nothing but one line (for kill:
ends), and none that it started is alive 3 seconds after the signal.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 3.0
COMMON = ["log=error", "+space=ofa_mbv3", "+strategy=random"]
WORKS = {
    "search": [*COMMON, "objectives=[latency,macs]", "budget=2000", "run=r"],
    "processes": [*COMMON, "objectives=[params,grad_norm]", "budget=2000", "run=r", "executor=processes"],
    "train": [*COMMON, "mode=train"],
}  # fmt: skip
SIGNALS = {
    "int": [signal.SIGINT],
    "int-twice": [signal.SIGINT] * 2,
    "term": [signal.SIGTERM],
    "kill": [signal.SIGKILL],
}


@dataclass(frozen=True)
class Seen:
    """What came of one signal: `fault` is empty if all was well."""

    moment: float
    seconds: float
    status: int | None
    said: str
    left: int

    @property
    def before_nasplug(self) -> bool:
        """Whether Python itself was still starting, and had run nothing of nasplug."""
        return self.status in (1, -2, -15) and "nasplug" not in self.said

    def fault(self, kind: str) -> str:
        """What was wrong."""
        if self.left:
            return f"{self.left} processes left"
        if self.seconds > SECONDS:
            return f"took {self.seconds:.1f} s"
        if kind == "kill":
            return ""
        if self.before_nasplug:
            return ""
        wanted = 143 if kind == "term" else 130
        if self.status != wanted:
            return f"status {self.status}: {self.said[-300:]!r}"
        lines = self.said.splitlines()
        good = len(lines) == 1 and lines[0].startswith("nasplug: stopped")
        return "" if good else f"said {self.said[-300:]!r}"


def stop(kind: str, work: str, moment: float, folder: Path, during: bool = False) -> Seen:
    """Start `work` in `folder`, and send the signals of `kind` after `moment` seconds: counted from the
    start, or if `during` from when the search's journal is there."""
    mark = uuid.uuid4().hex
    paths = [str(ROOT), str(ROOT / "plugins")]
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(paths), "NASPLUG_MARK": mark,
        "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    error = folder / f"{mark}.err"
    with error.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "nasplug", *WORKS[work]], cwd=folder, env=environment,
            stdout=subprocess.DEVNULL, stderr=file, process_group=0,
        )  # fmt: skip
        until = time.monotonic() + 120
        while during and not (folder / "r" / "journal.log").exists() and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(moment)
        start = time.monotonic()
        for number in SIGNALS[kind]:  # to the whole group, as a terminal does
            send(process.pid, number, kind)
            time.sleep(0.1)
        try:
            status = process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            status = None
        seconds = time.monotonic() - start
    while (left := marked(mark)) and time.monotonic() - start < SECONDS:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return Seen(moment, seconds, status, error.read_text(errors="replace"), len(left))


def send(pid: int, number: int, kind: str) -> None:
    """To the process alone for kill, else to its group."""
    with suppress(ProcessLookupError):
        (os.kill if kind == "kill" else os.killpg)(pid, number)


def marked(mark: str) -> list[int]:
    """The living processes that have `mark` in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
                zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if mark.encode() in environment and not zombie:
                found.append(int(entry.name))
    return found


def attack(kind: str, moments: int, works: list[str], seed: int = 0) -> list[tuple[str, Seen]]:
    """Half of the moments from 0.05 s after the start on, each 1.3 times later than the last, and half
    in the first 10 seconds of the search itself (of training: in its first 30)."""
    dice, seen = random.Random(seed), []
    for i in range(moments):
        work, early = works[i % len(works)], i // len(works) % 2 == 0
        moment = dice.uniform(0, 30 if work == "train" else 10)
        if early:
            moment = min(0.05 * 1.3**i, 30)
        folder = Path(tempfile.mkdtemp())
        seen.append((work, stop(kind, work, moment, folder, not early and work != "train")))
        shutil.rmtree(folder, ignore_errors=True)
        work, last = seen[-1]
        since = "start" if early or work == "train" else "search began"
        verdict = last.fault(kind) or ("ok, before nasplug" if last.before_nasplug else "ok")
        print(
            f"{kind} {work} {moment:.2f} s after its {since}: ended in {last.seconds:.2f} s, {verdict}",
            flush=True,
        )
    return seen


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    number = int(rest[0]) if rest else 20
    seen = attack(kind, number, rest[1:] or list(WORKS))
    good = [one for _, one in seen if not one.fault(kind)]
    slowest = max(one.seconds for _, one in seen)
    early = sum(one.before_nasplug for one in good)
    print(
        f"{kind}: {len(good)} of {len(seen)} good, the slowest ended in {slowest:.2f} s; "
        f"{early} came before Python had begun with nasplug"
    )
    sys.exit(len(good) < len(seen))
