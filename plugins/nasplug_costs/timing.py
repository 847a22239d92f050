"""How long a network takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.benchmark import Timer


def latency(
    model: nn.Module,
    inputs: tuple[Any, ...],
    device: torch.device,
    threads: int,
    warm_up: int,
    seconds: float,
) -> tuple[float, float]:
    """Median and interquartile range of a forward pass of `model` on `inputs`, in milliseconds.

    The model is brought to `device` and to evaluation mode and stays so. A pass on an accelerator
    ends when the device has done the work, not when it is queued.
    """
    model.to(device).eval()
    inputs = tuple(x.to(device) for x in inputs)
    timer = Timer("run(*inputs)", globals={"run": model, "inputs": inputs}, num_threads=threads)
    with torch.inference_mode():
        timer.timeit(warm_up) if warm_up else None
        measured = timer.blocked_autorange(min_run_time=seconds)
    return 1e3 * measured.median, 1e3 * measured.iqr
