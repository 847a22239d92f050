"""What measuring a sub-network costs beyond the forward passes that it needs.

python examples/benchmarks/evaluation_overhead.py

Measuring is: extract the sub-network, estimate its batch-norm statistics on the calibration data,
validate it. The bare passes are the same network on the same inputs with nothing around them: with
statistics at hand, and with batch norms that compute them, as calibration must. CPU seconds, one
thread, the best of five; the weights are untrained, which changes nothing.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasplug import make
from nasplug.contracts.types import full_trials


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of `work`."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


@torch.no_grad()
def passes(network: Any, inputs: list[Any], own_statistics: bool) -> None:
    """Bare forward passes."""
    network.train(own_statistics)
    for batch in inputs:
        network(*batch)


def measure(evaluator: Any, arch: Any) -> list[float]:
    """Seconds of measuring, and of the bare passes with given and with own statistics."""
    task, size = evaluator.task, evaluator.calibration_batch
    network = evaluator.network(arch).to(memory_format=torch.channels_last)
    calibration = [task.inputs(batch) for batch in task.calibration_batches(size)]
    validation: list[Any] = []
    hook = network.register_forward_pre_hook(lambda _, inputs: validation.append(inputs))
    task.quality(network, task.metrics)
    hook.remove()
    works = (
        lambda: evaluator.evaluate(full_trials([arch]), ["top1"]),
        lambda: passes(network, validation, False),
        lambda: passes(network, calibration, False),
        lambda: passes(network, calibration, True),
    )
    rounds = [[seconds(work) for work in works] for _ in range(5)]  # in turn: equally disturbed
    whole, validating, given, own = np.min(rounds, axis=0)
    return [whole, validating + given, validating + own]


if __name__ == "__main__":
    torch.set_num_threads(1)
    task = make("task", "digits")
    space = make("space", "ofa_mbv3", **task.network_dimensions)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "untrained.pth"
        torch.save(space.supernet().state_dict(), weights)
        evaluator = make("evaluator", "supernet", space=space, task=task, weights=str(weights))
        evaluator.prepare()
        archs = space.valid(space.sample(10, np.random.default_rng(0)))
        whole, given, own = np.mean([measure(evaluator, arch) for arch in archs], axis=0)
    print(f"measuring an architecture           {whole:.3f} s")
    print(
        f"bare passes, statistics at hand     {given:.3f} s: {100 * (whole / given - 1):.1f} % more"
    )
    print(f"bare passes, computing statistics   {own:.3f} s: {100 * (whole / own - 1):.1f} % more")
