"""Feature maps of a network: what its modules give out on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from nasplug.contracts.inputs import Inputs, call


@contextmanager
def recorded(modules: list[nn.Module]) -> Iterator[list[tuple[nn.Module, torch.Tensor]]]:
    """Within it, each of `modules` that runs and gives a tensor adds (itself, output), in order."""
    record: list[tuple[nn.Module, torch.Tensor]] = []

    def note(module: nn.Module, args: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            record.append((module, output))

    hooks = [module.register_forward_hook(note) for module in modules]
    try:
        yield record
    finally:
        for hook in hooks:
            hook.remove()


def last_map(model: nn.Module, inputs: Inputs) -> torch.Tensor:
    """The last feature map before the classifier, shape (b, channels, ..).

    The classifier is the last layer with weights. Before it, the map is the last output of a module
    without children that has more than one position (pooling ends with one); without any, the
    classifier's input.
    """
    leaves = [m for m in model.modules() if not any(True for _ in m.children())]
    with recorded(leaves) as record:
        output = call(model, inputs)
    layers = (nn.modules.conv._ConvNd, nn.Linear)
    places = [i for i, (module, _) in enumerate(record) if isinstance(module, layers)]
    before = [x for _, x in record[: places[-1]]] if places else []
    maps = [x for x in before if x.ndim > 2 and x[0, 0].numel() > 1]
    found: torch.Tensor = (maps or before or [output])[-1]
    return found
