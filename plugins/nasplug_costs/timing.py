"""How long a network takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.benchmark import Timer

from nasplug.contracts.inputs import Inputs, call
from nasplug.toolkit.networks.devices import move


def latency(
    model: nn.Module,
    inputs: Inputs,
    device: torch.device,
    threads: int,
    warm_up: int,
    seconds: float,
    run: Callable[[Any, Inputs], Any] = call,
) -> tuple[float, float]:
    """Median and interquartile range of `run(model, inputs)`, by default a forward pass, in milliseconds.

    The model is brought to `device` and to evaluation mode and stays so. A pass on an accelerator
    ends when the device has done the work, not when it is queued.
    """
    model.to(device).eval()
    names = {"run": run, "model": model, "inputs": move(inputs, device)}
    timer = Timer("run(model, inputs)", globals=names, num_threads=threads)
    with torch.inference_mode():
        timer.timeit(warm_up) if warm_up else None
        measured = timer.blocked_autorange(min_run_time=seconds)
    return 1e3 * measured.median, 1e3 * measured.iqr
