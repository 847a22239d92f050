"""The search's own time: a round of LINAS, from learning on what is measured to the next batch.

    python examples/benchmarks/linas_round.py

The space is ofa_mbv3 (45 variables), the measured values an easy function of it, so that what is left
is the strategy: `linas_paper` with 20,000 predicted evaluations a round, and `linas` as it comes.
"""

import time

import numpy as np

from nasplug import Objective, Problem, make


def rounds(strategy, budget):
    """Seconds of each `ask` that began a round, after the first sample."""
    space = make("space", "ofa_mbv3")
    goals = (Objective("top1", "%", "maximize"), Objective("macs", "", "minimize"))
    problem = Problem(space, goals, closed_form=("macs",))
    strategy.setup(problem)
    taste = np.random.default_rng(0).normal(size=space.features([space.largest]).shape[1])
    seconds, measured = [], 0
    while measured < budget:
        start = time.perf_counter()
        trials = strategy.ask(budget - measured)[: budget - measured]
        seconds.append(time.perf_counter() - start)
        archs = [trial.arch for trial in trials]
        macs = space.costs(archs)["macs"]
        top1 = 70 + 2 * np.log(macs / 1e8) + space.features(archs) @ taste / 10
        strategy.tell(problem.results(trials, np.stack([top1, macs], axis=1)))
        measured += len(archs)
    return seconds[1:]


if __name__ == "__main__":
    for name in ("linas_paper", "linas"):
        taken = rounds(make("strategy", name), 250)
        print(
            f"{name:12} 250 measurements: {len(taken)} rounds, median {np.median(taken):.2f} s, "
            f"longest {max(taken):.2f} s, in all {sum(taken):.1f} s"
        )
