"""The features whose change is a network's expressivity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from nasplug import NasplugError
from nasplug.toolkit.networks.nested import main_output

Seen = list[tuple[nn.Module, torch.Tensor | None, torch.Tensor]]


def features(model: nn.Module, forward: Callable[[], Any], transformer: bool) -> torch.Tensor:
    """The last features before the network's head, shape (b, ..).

    Of a transformer: what goes into the last normalisation that runs, so that it takes no scale away;
    without any, into the last layer with weights. Of another network: the last output of more than one
    position before the last layer with weights (pooling ends with one), else what goes into that
    layer.
    """
    with _recorded(model) as seen:
        outputs = forward()
    if transformer:
        norms = [given for module, given, _ in seen if _is_norm(module)]
        if norms and norms[-1] is not None:
            return norms[-1]
    places = [i for i, (module, _, _) in enumerate(seen) if _has_weights(module)]
    maps = [out for _, _, out in seen[: places[-1]]] if places else []
    maps = [x for x in maps if x.ndim > 2 and x[0, 0].numel() > 1]
    given = seen[places[-1]][1] if places else None
    found = maps[-1] if maps and not transformer else given
    found = main_output(outputs) if found is None else found
    if found is None:
        raise NasplugError("the network must have real numbers as outputs, but this one has none")
    return found


@contextmanager
def _recorded(model: nn.Module) -> Iterator[Seen]:
    """Within it, each module without children that runs adds (itself, its input, its output)."""
    seen: Seen = []

    def note(module: nn.Module, args: Any, keywords: Any, output: Any) -> None:
        given = main_output((args, keywords))
        if isinstance(output, torch.Tensor) and output.is_floating_point():
            seen.append((module, given, output))

    leaves = [m for m in model.modules() if not any(True for _ in m.children())]
    hooks = [m.register_forward_hook(note, with_kwargs=True) for m in leaves]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()


def _has_weights(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.conv._ConvNd | nn.Linear) or (
        type(module).__name__ == "Conv1D"
    )
