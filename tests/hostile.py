"""Evaluators that end, hang or time; importable by workers. As a script, a search with one of them.

python hostile.py FOLDER EXECUTOR(serial or a number of workers) KIND BUDGET [SECONDS]
"""

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

from light import LightEvaluator, LightSpace, LightStrategy
from nasplug_executors.processes import Processes

from nasplug import Measurement, Metric, search
from nasplug.contracts.types import full_trials
from nasplug.engine.executors.serial import Serial

VICTIM = 5
"""Of the indices of an architecture, the sum that is fatal, with an even first index."""


def fatal(arch):
    return sum(arch) == VICTIM and arch[0] % 2 == 0


class Hostile(LightEvaluator):
    """Measures as LightEvaluator, but what is `fatal` is done `kind` to."""

    def __init__(self, kind: str = "none", seconds: float = 0.0, preferred_batch: int = 1) -> None:
        super().__init__(seconds, fails=0)
        self.kind, self.preferred_batch = kind, preferred_batch

    def evaluate(self, trials, names):
        archs = [trial.arch for trial in trials]
        if any(map(fatal, archs)):
            Path(os.environ.get("HOSTILE_BEGUN", os.devnull)).touch()
            getattr(self, self.kind)()
        return super().evaluate(trials, names)

    def none(self):
        pass

    def exits(self):
        os._exit(9)

    def segfault(self):
        ctypes.string_at(0)

    def abort(self):
        os.abort()

    def hang(self):
        time.sleep(1000)

    def hang_with_the_gil(self):
        ctypes.PyDLL(None).sleep(1000)  # native code that lets no other Python thread run

    def leaves_children(self):
        if os.fork() == 0:
            time.sleep(1000)
        subprocess.Popen(["sleep", "1000"])


class Timed(Hostile):
    """Beside the others, `alone` is how many evaluations are under way while it is measured."""

    metrics = {**LightEvaluator.metrics, "alone": Metric("ms", "minimize")}
    runs_alone = ("alone",)

    def __init__(self, folder: str, seconds: float = 0.02, preferred_batch: int = 1) -> None:
        super().__init__("none", seconds, preferred_batch)
        self.folder = folder

    def evaluate(self, trials, names):
        archs = [trial.arch for trial in trials]
        mark = Path(self.folder) / f"{os.getpid()}"
        mark.touch()
        try:
            good = super().evaluate(full_trials(archs), [name for name in names if name != "alone"])
            if "alone" not in names:
                return good
            time.sleep(self.seconds)
            count = float(len(list(Path(self.folder).iterdir())))
            return [Measurement({**outcome.values, "alone": count}) for outcome in good]
        finally:
            mark.unlink()


def executor_of(text):
    return Serial() if text == "serial" else Processes(int(text))


def main():
    folder, executor, kind, budget, *seconds = sys.argv[1:]
    search(
        LightSpace(), Hostile(kind, *map(float, seconds)), LightStrategy(), ["good", "slow"],
        int(budget), executor=executor_of(executor), run=folder,
    )  # fmt: skip


if __name__ == "__main__":
    import hostile  # its classes under their own module's name, as tests have them

    hostile.main()
