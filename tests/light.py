"""Parts without torch, for tests that start many processes; as a script, a search of its own.

python light.py FOLDER BUDGET SECONDS WORKERS
"""

import sys
import time

import numpy as np
from nasplug_executors.processes import Processes

from nasplug import (
    Evaluator,
    Failure,
    Measurement,
    Metric,
    SearchSpace,
    Strategy,
    Variable,
    full_trials,
    search,
)
from nasplug.engine.executors.serial import Serial


class LightSpace(SearchSpace):
    """Six variables of four options; the last two take part if the first is not 0."""

    variables = (
        *(Variable(f"v{i}", (1, 2, 3, 4)) for i in range(4)),
        *(Variable(f"w{i}", (1, 2, 3, 4), when={"v0": (2, 3, 4)}) for i in range(2)),
    )

    def build(self, arch):
        raise AssertionError("nothing is built here")

    def example_inputs(self, batch_size):
        raise AssertionError("nothing is built here")


class LightEvaluator(Evaluator):
    """Two metrics at once; `seconds` each; every so many-th architecture fails."""

    metrics = {"good": Metric("%", "maximize"), "slow": Metric("ms", "minimize")}

    def __init__(self, seconds: float = 0.0, fails: int = 7, fatal: int = 0) -> None:
        self.seconds, self.fails, self.fatal = seconds, fails, fatal

    def evaluate(self, trials, names):
        archs = [trial.arch for trial in trials]
        return [self._one(arch, names) for arch in archs]

    def _one(self, arch, names):
        time.sleep(self.seconds)
        mark = sum(g * 4**i for i, g in enumerate(arch))
        if self.fatal and mark % self.fatal == 0:
            import os

            os._exit(9)
        if self.fails and mark % self.fails == 0:
            return Failure("unlucky")
        genes = np.array(arch, float)
        values = {"good": float(np.sqrt(genes).sum()), "slow": float(1 + genes @ np.arange(1, 7))}
        return Measurement({name: values[name] for name in names})


class LightStrategy(Strategy):
    """Random, but what it asks depends on what it was told, so a wrong answer shows."""

    def __init__(self, batch: int = 8) -> None:
        self.batch = batch

    def setup(self, problem):
        self.problem, self.seen, self.told = problem, set(), 0

    def ask(self, n, pending=()):
        rng = np.random.default_rng((self.problem.seed, self.told))
        archs = self.problem.space.valid(self.problem.space.sample(self.batch, rng, self.seen))
        self.seen |= set(archs)
        return full_trials(archs[:n])

    def tell(self, results):
        values = self.problem.values(results)
        self.told = int(1000 * np.nansum(values)) + np.isnan(values).sum()


if __name__ == "__main__":
    folder, budget, seconds, workers = sys.argv[1:]
    executor = Processes(int(workers)) if int(workers) > 1 else Serial()
    search(
        LightSpace(), LightEvaluator(float(seconds)), LightStrategy(), ["good", "slow"],
        int(budget), executor=executor, run=folder,
    )  # fmt: skip
