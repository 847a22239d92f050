"""What the embedded super-network reaches: the largest, the smallest and 20 random sub-networks.

    python examples/benchmarks/supernet_digits.py

Three seeds of the default training of ofa_mbv3 on the digits, kept in the user's cache as any other.
"""

import logging
import time

import numpy as np

from nasplug import make
from nasplug.contracts.types import full_trials


def reached(seed):
    """Seconds of training, and top-1 of the largest, the smallest, and random sub-networks."""
    task = make("task", "digits")
    space = make("space", "ofa_mbv3", **task.network_dimensions)
    supernet = make("evaluator", "supernet", space=space, task=task, seed=seed)
    start = time.monotonic()
    supernet.prepare()
    seconds = time.monotonic() - start
    archs = space.valid(space.sample(20, np.random.default_rng(123)))
    outcomes = supernet.evaluate(full_trials([space.largest, space.smallest, *archs]), ["top1"])
    return seconds, [outcome.values["top1"] for outcome in outcomes]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print("seed  seconds  largest  smallest  median of 20  their range")
    for seed in range(3):
        seconds, (largest, smallest, *random) = reached(seed)
        spread = f"{min(random):.1f} to {max(random):.1f}"
        print(
            f"{seed:4}  {seconds:7.0f}  {largest:7.1f}  {smallest:8.1f}  {np.median(random):12.1f}  {spread}"
        )
