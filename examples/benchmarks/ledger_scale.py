"""What a run folder of many rows costs: to fill, to open, to go on with, and in memory.

    python examples/benchmarks/ledger_scale.py [ROWS ...]      (10000 100000 by default)

A space of 45 variables with a light evaluator, so that all time is nasplug's own. Each phase is a
process of its own: `fill` writes ROWS records to a ledger; `open` is from the start of a search in
that folder until the evaluator is prepared, and the most memory until then; `replay` until the first
new evaluation; then the milliseconds between two evaluations (median, mean, 99th percentile) when
the search goes on for STEPS more (an environment variable, 3000 by default), with the files kept
up; `end` what follows the last evaluation (the files, the picture), and the most memory in all.
`cpu` is time of the processor, without what other processes and the disk take.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nasplug import (
    Evaluator,
    Measurement,
    Metric,
    SearchSpace,
    Strategy,
    Variable,
    full_trials,
    search,
)
from nasplug.contracts.types import Objective, Record, Trial
from nasplug.engine.ledger import Ledger

STEPS = int(os.environ.get("STEPS", 3000))
BATCH = 1000
GOALS = (Objective("top1", "%", "maximize"), Objective("macs", "", "minimize"))


class Space(SearchSpace):
    """Five stages of a depth and four blocks with a kernel and an expansion each, as once-for-all's."""

    variables = tuple(
        variable
        for s in range(1, 6)
        for variable in (
            Variable(f"stage{s}.depth", (2, 3, 4)),
            *(Variable(f"stage{s}.block{b}.kernel", (3, 5, 7), when=_when)
              for b in range(1, 5) for _when in [{f"stage{s}.depth": tuple(range(max(b, 2), 5))}]),
            *(Variable(f"stage{s}.block{b}.expand", (3, 4, 6), when=_when)
              for b in range(1, 5) for _when in [{f"stage{s}.depth": tuple(range(max(b, 2), 5))}]),
        )
    )  # fmt: skip

    def build(self, arch):
        """Nothing is built here."""
        raise AssertionError("nothing is built here")

    def example_inputs(self, batch_size):
        """Nothing is built here."""
        raise AssertionError("nothing is built here")


class Light(Evaluator):
    """Two numbers from the options; notes when it was called."""

    metrics = {"top1": Metric("%", "maximize"), "macs": Metric("", "minimize")}

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def prepare(self):
        """Note when the search has opened its folder."""
        self.prepared, self.memory, self.cpu = time.perf_counter(), peak(), time.process_time()

    def evaluate(self, trials, names):
        """Note the time, and answer at once."""
        archs = [trial.arch for trial in trials]
        self.times.append((time.perf_counter(), time.process_time()))
        return [Measurement(measured(arch)) for arch in archs]


def peak():
    """The most memory that this process had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(arch):
    total = sum(arch)
    wobble = sum(g * (i % 7 + 1) for i, g in enumerate(arch)) % 17
    return {"top1": 60 + 15 * (total / 90) ** 0.5 + wobble / 10, "macs": 1e8 + 3e6 * total + wobble}


class Listed(Strategy):
    """Random architectures, always the same: a thousand to be told at once, then one at a time."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def setup(self, problem):
        """Start at the first."""
        self.space, self.asked, self.batch = problem.space, 0, []

    def ask(self, n, pending=()):
        """The next ones."""
        place = self.asked % BATCH
        if not place:
            self.batch = batch(self.space, self.asked // BATCH)
        n = min(n, BATCH - place) if self.asked < self.rows else 1
        self.asked += n
        return full_trials(self.batch[place : place + n])

    def tell(self, results):
        """Nothing is learnt."""


def batch(space, k):
    """The `k`-th thousand of architectures."""
    return space.valid(np.random.default_rng(k).integers(0, 3, (BATCH, len(space.variables))))


def fill(folder, rows):
    space = Space()
    search(space, Light(), Listed(rows), ["top1", "macs"], 1, run=folder)
    ledger, seconds = Ledger(folder, space, GOALS), 0.0
    for number in range(1, rows):
        if number == 1 or number % BATCH == 0:
            archs = batch(space, number // BATCH)
        arch = archs[number % BATCH]
        start = time.perf_counter()
        ledger.add(Record(number, Trial(arch), Measurement(measured(arch), 0.01)))
        seconds += time.perf_counter() - start
    return {"fill_ms": 1000 * seconds / rows}


def resume(folder, rows):
    light, start, cpu = Light(), time.perf_counter(), time.process_time()
    search(Space(), light, Listed(rows), ["top1", "macs"], rows + STEPS, run=folder)
    end, (wall, own) = time.perf_counter(), np.diff(np.array(light.times), axis=0).T * 1000
    return {
        "open s": light.prepared - start,
        "open cpu": light.cpu - cpu,
        "open MiB": light.memory,
        "replay s": light.times[0][0] - light.prepared,
        "median": float(np.median(wall)),
        "mean": float(wall.mean()),
        "mean cpu": float(own.mean()),
        "p99": float(np.quantile(wall, 0.99)),
        "end s": end - light.times[-1][0],
    }


def phase(name, folder, rows):
    """Run one phase in a process of its own; its figures with its memory in MiB."""
    command = [sys.executable, __file__, name, str(folder), str(rows)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    if sys.argv[1:2] in (["fill"], ["resume"]):
        name, folder, rows = sys.argv[1:]
        found = {"fill": fill, "resume": resume}[name](Path(folder), int(rows))
        print(json.dumps(found | {"end MiB": peak()}))
        return
    for i, rows in enumerate(map(int, sys.argv[1:] or (10_000, 100_000))):
        folder = Path(tempfile.mkdtemp(dir=".")) / "run"
        filled = phase("fill", folder, rows)
        size = (folder / "journal.log").stat().st_size / rows / 1024
        went = phase("resume", folder, rows)
        shutil.rmtree(folder.parent)
        shown = {"fill ms": filled["fill_ms"], "KiB/row": size, **went}
        if not i:
            print(f"{'rows':>9}", *(f"{name:>9}" for name in shown))
        print(f"{rows:>9,}", *(f"{x:9.2f}" for x in shown.values()), flush=True)


if __name__ == "__main__":
    main()
