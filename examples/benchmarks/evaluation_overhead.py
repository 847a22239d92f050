"""What measuring a sub-network costs beyond the forward passes that it needs.

Measuring is: extract the sub-network, estimate its batch-norm statistics on the calibration data,
validate it. The bare passes are the same network on the same inputs, with nothing around them.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import nasplug

ARCHITECTURES, REPEATS = 10, 3


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds, the best of a few."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def passes(network: torch.nn.Module, inputs: list[tuple[torch.Tensor, ...]]) -> None:
    """The bare forward passes."""
    with torch.no_grad():
        for batch in inputs:
            network(*batch)


task = nasplug.make("task", "digits")
space = nasplug.make("space", "ofa_mbv3", **task.dims)
torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder:
    weights = Path(folder) / "untrained.pth"
    torch.save(space.supernet().state_dict(), weights)
    evaluator = nasplug.make("evaluator", "supernet", space=space, task=task, weights=str(weights))
    evaluator.evaluate([space.largest], ["top1"])  # loads the weights and the data

    measured = bare = 0.0
    for arch in space.valid(space.sample(ARCHITECTURES, np.random.default_rng(0))):
        inputs = [task.inputs(b) for b in task.calibration_batches(evaluator.calibration_batch)]
        network = evaluator.network(arch).to(memory_format=torch.channels_last)
        hook = network.register_forward_pre_hook(lambda _, batch: inputs.append(batch))  # noqa: B023
        task.quality(network)
        hook.remove()
        bare += seconds(lambda: passes(network, inputs))  # noqa: B023
        measured += seconds(lambda: evaluator.evaluate([arch], ["top1"]))  # noqa: B023

print(f"measured     {measured / ARCHITECTURES:.3f} s an architecture")
print(f"bare passes  {bare / ARCHITECTURES:.3f} s")
print(f"overhead     {100 * (measured / bare - 1):.1f} %")
