"""How fast strategies fill the front of recommenders: hypervolume against measurements.

python examples/benchmarks/ncf_searches.py path=DATA/PREFIX [budget=100] [seeds=5] [hidden=1024]
    [strategies=linas,nsga2,random]

`hidden` is the greatest width of the towers: with 256 a measurement takes a sixteenth of the time.
HR@10 with inherited weights against parameters, the super-network trained here unless it is in the
cache. The hypervolume is a share of the box that all measured architectures span together.
"""

import sys

import numpy as np

from nasplug import Evaluator, make, search
from nasplug.contracts.types import full_trials
from nasplug.toolkit.searching import pareto


class Remembering(Evaluator):
    """Measures nothing twice, whoever asks: what one strategy measured, another gets for nothing."""

    def __init__(self, inner: Evaluator) -> None:
        self.inner, self.known = inner, {}

    @property
    def metrics(self):
        """The inner one's."""
        return self.inner.metrics

    def evaluate(self, trials, names):
        """As the inner one does."""
        archs = [trial.arch for trial in trials]
        new = [arch for arch in dict.fromkeys(archs) if arch not in self.known]
        self.known.update(zip(new, self.inner.evaluate(full_trials(new), names), strict=True))
        return [self.known[arch] for arch in archs]


def main(
    path: str | None = None,
    budget: str = "100",
    seeds: str = "5",
    hidden: str = "1024",
    strategies: str = "linas,nsga2,random",
) -> None:
    """Print the hypervolume's mean and deviation over the seeds, a column a strategy."""
    task = make("task", "interactions", path=path, validation="test")
    widths = [8 * 2**i for i in range(8) if 8 * 2**i <= int(hidden)]
    space = make("space", "ncf", hidden=widths, **task.network_dimensions)
    schedule = make("training", "ncf")
    supernet = Remembering(
        make("evaluator", "supernet_ncf", space=space, task=task, training=schedule)
    )
    costs = make("evaluator", "costs", space=space)
    losses = {}
    for name in strategies.split(","):
        for seed in range(int(seeds)):
            run = search(
                space, [supernet, costs], make("strategy", name), ["hr10", "params"], int(budget),
                task=task, seed=seed,
            )  # fmt: skip
            losses[name, seed] = run.losses()
            front = run.front()
            print(
                f"{name} {seed}: hr10 up to {front['hr10'].max():.4f}, params "
                f"{front['params'].min():.4g} to {front['params'].max():.4g}",
                flush=True,
            )

    ideal, reference = pareto.bounds(np.concatenate(list(losses.values())))
    for n in sorted({*range(10, int(budget) + 1, 10), int(budget)}):
        shares = []
        for name in strategies.split(","):
            found = [
                pareto.hypervolume(losses[name, seed][:n], reference, ideal)
                for seed in range(int(seeds))
            ]
            shares.append(f"{name} {np.mean(found):.4f} +- {np.std(found, ddof=1):.4f}")
        print(f"{n:4d} measured: " + "  ".join(shares))


if __name__ == "__main__":
    main(**dict(word.split("=") for word in sys.argv[1:]))
