"""How much faster two worker processes are than one, by how long an evaluation takes.

    python examples/benchmarks/processes.py

Each evaluation is work for one core (products of small matrices) of about the seconds given; both
executors must leave the same ledger, and the second column is the ratio of their times.
"""

import time

import numpy as np
from nasplug_executors.processes import Processes

from nasplug import Evaluator, Measurement, Metric, make, search
from nasplug.contracts.types import full_trials
from nasplug.engine.executors.serial import Serial
from nasplug.testing import ToySpace


class Work(Evaluator):
    """Multiplies matrices for a number of rounds."""

    metrics = {"work": Metric("", "maximize"), "size": Metric("", "minimize")}

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds

    def evaluate(self, trials, names):
        """The same product, whatever the architecture."""
        archs = [trial.arch for trial in trials]
        return [self._one(arch) for arch in archs]

    def _one(self, arch):
        matrix = np.eye(32) * 0.99
        for _ in range(self.rounds):
            matrix = matrix @ np.eye(32)
        return Measurement({"work": float(matrix[0, 0]) + sum(arch), "size": float(arch[0])})


def timed(rounds, executor, n=24):
    """Seconds, once the workers are up, and what the ledger holds."""
    space, strategy = ToySpace(layers=5), make("strategy", "random")
    marks = []

    class Marked(type(executor)):
        def run(self, measure, archs, preferred_batch):
            for item in super().run(measure, archs, preferred_batch):
                marks.append(time.perf_counter())
                yield item

    executor.__class__ = Marked
    run = search(space, Work(rounds), strategy, ["work", "size"], n, executor=executor)
    return marks[-1] - marks[1], [(r.number, r.arch, r.outcome.values) for r in run.records]


def main():
    """A row a duration."""
    start = time.perf_counter()
    Work(20_000).evaluate(full_trials([(0,)]), [])
    per_second = 20_000 / (time.perf_counter() - start)
    print("seconds  serial/processes  same ledger")
    for seconds in (0.05, 0.2, 0.5, 1.0):
        rounds = int(seconds * per_second)
        serial, first = timed(rounds, Serial())
        parallel, second = timed(rounds, Processes(2))
        print(f"{seconds:7.2f}  {serial / parallel:16.2f}  {first == second}")


if __name__ == "__main__":
    main()
