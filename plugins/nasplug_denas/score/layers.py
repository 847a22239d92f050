"""Which weights a network has, each once, and whether they are attention's, feed-forward or other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nasplug import NasplugError
from nasplug.elastic import MLP, GatedMLP, MultiheadAttention

Kind = Literal["attention", "feed_forward", "convolution", "other"]
Which = Literal["auto", "attention", "feed_forward", "all"]

ATTENTION = (nn.MultiheadAttention, MultiheadAttention)
CONVOLUTIONS = nn.modules.conv._ConvNd
TRANSPOSED = nn.modules.conv._ConvTransposeNd


@dataclass(frozen=True)
class WeightedLayer:
    """A weight, no bias, of the layer `name`."""

    name: str
    kind: Kind
    module: nn.Module
    weight: nn.Parameter

    def matrix(self, values: torch.Tensor) -> torch.Tensor:
        """`values`, of the weight's shape, as (outputs, inputs of an output)."""
        if isinstance(self.module, TRANSPOSED) or _is_conv1d(self.module):
            values = values.transpose(0, 1)
        return values.flatten(1)


def weighted_layers(model: nn.Module) -> list[WeightedLayer]:
    """The weights of convolutions, linear, attention and recurrent layers, each distinct one once.

    A linear layer is attention's where the class name of a module around it contains "attention"; else
    feed-forward where a list of layers is around it (`nn.ModuleList`, or an `nn.Sequential` whose
    part around it attends), or nasplug's MLP; else it is other: embeddings, poolers, heads. Hugging
    Face's Conv1D counts as linear.
    """
    found = {id(layer.weight): layer for layer in reversed(list(_walk(model, "", ())))}
    layers = list(reversed(found.values()))
    if not layers:
        raise NasplugError(
            "the network must have convolution, linear, attention or recurrent layers, but this one "
            "has none"
        )
    return layers


def is_transformer(layers: Sequence[WeightedLayer]) -> bool:
    """Whether any of the layers is attention's."""
    return any(layer.kind == "attention" for layer in layers)


def chosen(
    layers: Sequence[WeightedLayer], which: Which, of_transformers: Kind
) -> list[WeightedLayer]:
    """The layers that a part of the score is about: all, or those of a kind.

    "auto": of transformers those of the kind `of_transformers`, of other networks all. A kind that the
    network has not is an error, never a score of 0.
    """
    if which not in get_args(Which):
        raise NasplugError(f"layers must be one of {', '.join(get_args(Which))}, but got {which!r}")
    if which == "auto":
        which = of_transformers if is_transformer(layers) else "all"  # type: ignore[assignment]
    if which == "all":
        return list(layers)
    found = [layer for layer in layers if layer.kind == which]
    if not found:
        raise NasplugError(
            f"the network must have {which.replace('_', '-')} layers that are recognised by their place "
            f"(attention: inside of a module whose class is called so; feed-forward: in a ModuleList), "
            f"but this one has none; layers=all counts every layer"
        )
    return found


def refusing_unknown_attention(layers: Sequence[WeightedLayer]) -> AbstractContextManager[Any]:
    """Within it a network that attends, though none of its `layers` is known as attention's, is an
    error: it would be scored as if it were none."""
    return nullcontext() if is_transformer(layers) else _RefuseAttention()


class _RefuseAttention(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Attention is a fused operation, or a softmax and then a batched matrix product."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._softmax = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name()
        self._softmax |= "softmax" in name and "log_softmax" not in name
        if "scaled_dot_product" in name or (self._softmax and name == "aten::bmm"):
            raise NasplugError(
                "the layers of attention must be in a module whose class name contains Attention, but "
                "this network attends elsewhere; rename that class, or choose another proxy, e.g. nwot"
            )
        return func(*args, **(kwargs or {}))


# ---- the walk ------------------------------------------------------------------------------------


def _walk(module: nn.Module, name: str, around: tuple[nn.Module, ...]) -> Iterator[WeightedLayer]:
    for own, weight in _weights(module):
        yield WeightedLayer(
            f"{name}.{own}".removeprefix("."), _kind(module, around), module, weight
        )
    for child_name, child in module.named_children():
        yield from _walk(child, f"{name}.{child_name}".removeprefix("."), (*around, module))


def _weights(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    own = dict(module.named_parameters(recurse=False))
    if isinstance(module, CONVOLUTIONS | nn.Linear) or _is_conv1d(module):
        return [(n, p) for n, p in own.items() if n == "weight"]
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
        return [(n, p) for n, p in own.items() if "weight" in n]
    return []


def _kind(module: nn.Module, around: tuple[nn.Module, ...]) -> Kind:
    if isinstance(module, CONVOLUTIONS):
        return "convolution"
    if isinstance(module, nn.RNNBase):
        return "other"
    if isinstance(module, nn.MultiheadAttention) or _attends(around):
        return "attention"
    for outer, inner in zip(around, (*around[1:], module), strict=False):
        if isinstance(outer, nn.ModuleList | MLP | GatedMLP):
            return "feed_forward"
        if isinstance(outer, nn.Sequential) and any(_is_attention(m) for m in inner.modules()):
            return "feed_forward"
    return "other"


def _attends(around: tuple[nn.Module, ...]) -> bool:
    """Whether one of the modules around is attention; the network itself is, only if it is no more."""
    if any(_is_attention(module) for module in around[1:]):
        return True
    return bool(around) and isinstance(around[0], ATTENTION)


def _is_attention(module: nn.Module) -> bool:
    return isinstance(module, ATTENTION) or "attention" in type(module).__name__.lower()


def _is_conv1d(module: nn.Module) -> bool:
    """Whether it is Hugging Face's linear layer with a transposed weight, (inputs, outputs)."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")
