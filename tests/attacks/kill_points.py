"""Kill a search at every moment at which it touches a file, and go on.

    python tests/attacks/kill_points.py [BUDGET]

A search of parts without torch is killed (SIGKILL) at its n-th step on a file, for every n until it
comes through: before and after each fsync and each replace, in the middle of each write to the
journal, and in the middle of each temporary file. After each kill the folder must be readable, the
same command must go on without measuring anything twice, and what is left must be, byte for byte,
what a search leaves that nobody killed: ledger, results.csv, front.csv; and no temporary file.
Then the same with a budget that is raised, where config.yaml is replaced. Prints N of N.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import light

from nasplug import NasplugError, search
from nasplug.engine.ledger import read_ledger
from nasplug.engine.run_folder import load_config


class Killed:
    """Puts itself in place of os.write, os.fsync and os.replace, and kills at step `last`."""

    def __init__(self, last):
        self.last, self.step = last, 0
        self.real = {name: getattr(os, name) for name in ("write", "fsync", "replace")}
        os.write, os.fsync, os.replace = self.write, self.fsync, self.replace

    def here(self):
        self.step += 1
        return self.step == self.last

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def write(self, file, data):
        if self.here():
            self.real["write"](file, bytes(data)[: len(data) // 2])
            self.die()
        return self.real["write"](file, data)

    def fsync(self, file):
        if self.here():  # in the middle of the file: what comes after has not been written
            os.ftruncate(file, os.fstat(file).st_size // 2) if self.temporary(file) else None
            self.die()
        self.real["fsync"](file)
        if self.here():
            self.die()

    def temporary(self, file):
        return os.readlink(f"/proc/self/fd/{file}").endswith(".tmp")

    def replace(self, source, target):
        if self.here():
            self.die()
        self.real["replace"](source, target)
        if self.here():
            self.die()


class Counting(light.LightEvaluator):
    """Notes what it measures in a file beside the run."""

    def __init__(self, note):
        super().__init__()
        self.note = note

    def evaluate(self, trials, names):
        archs = [trial.arch for trial in trials]
        with open(self.note, "a") as file:
            file.writelines(f"{arch}\n" for arch in archs)
        return super().evaluate(trials, names)


def find(folder, budget):
    note = folder.with_suffix(".measured")
    config = {"strategy": {"_target_": "light.LightStrategy"}, "seed": 0, "budget": budget}
    return search(
        light.LightSpace(), Counting(note), light.LightStrategy(), ["good", "slow"], budget,
        run=folder, config=config,
    )  # fmt: skip


def in_child(work):
    """The signal that ended a child which did `work`, 0 if it came through."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status)


def left(folder):
    """What a search left, without the clock."""
    table = read_ledger(folder, light.LightSpace())
    rows = [table.record(row) for row in range(len(table))]
    ledger = [(r.number, r.arch, getattr(r.outcome, "values", r.outcome.__class__)) for r in rows]
    views = []
    for name in ("results.csv", "front.csv"):
        lines = (folder / name).read_text().splitlines()
        seconds = lines[0].split(",").index("seconds")
        views.append(
            [[cell for i, cell in enumerate(reversed(line.split(","))) if i != 1] for line in lines]
        )
        assert lines[0].split(",")[seconds + 1 :] == ["error"]
    names = sorted(path.name for path in folder.iterdir())
    return ledger, views, names, load_config(folder)


def attack(budget, start):
    """How many kills there were; AssertionError where one of them was not survived."""
    with tempfile.TemporaryDirectory() as home:
        whole = Path(home) / "whole"
        find(Path(home) / "warm", 3)  # whatever is imported late is there for all children
        if start:
            assert in_child(lambda: find(whole, start)) == 0
        assert in_child(lambda: find(whole, budget)) == 0
        want = left(whole)
        for last in range(1, 10_000):
            folder = Path(home) / str(last)
            if start:
                assert in_child(lambda f=folder: find(f, start)) == 0

            def killed(folder=folder, last=last):
                Killed(last)
                find(folder, budget)

            ended = in_child(killed)
            if ended == 0:
                return last - 1
            assert ended == -signal.SIGKILL, f"step {last}: {ended}"
            try:
                read_ledger(folder, light.LightSpace())
                before = (folder / "config.yaml").exists() and load_config(folder)["budget"]
            except NasplugError as error:
                raise AssertionError(f"step {last}: {error}") from error
            assert before in (False, start, budget), f"step {last}: budget {before}"
            assert in_child(lambda f=folder: find(f, budget)) == 0, (
                f"step {last}: it does not go on"
            )
            assert left(folder) == want, f"step {last}: {left(folder)} instead of {want}"
            measured = folder.with_suffix(".measured").read_text().splitlines()
            # at most the one whose record was not whole is measured again
            assert len(measured) - len(set(measured)) <= 1, f"step {last}: measured twice"


def main():
    budget = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    for start in (0, budget // 2):
        kills = attack(budget, start)
        what = f"a budget raised from {start}" if start else "a new search"
        print(f"{what}: {kills} of {kills} kills survived")


if __name__ == "__main__":
    main()
