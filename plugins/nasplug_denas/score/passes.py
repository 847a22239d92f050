"""Forward passes of a score: gaussian images, features and embedded tokens, and what is read out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, final
from zlib import crc32

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from nasplug import Inputs, NasplugError, call
from nasplug.toolkit.networks.calibration import calibrate
from nasplug.toolkit.networks.nested import main_output
from nasplug_denas.score.layers import WeightedLayer, refusing_unknown_attention

Source = Literal["data", "gaussian", "ones", "none"]
Readout = Literal["projection", "sum"]


@final
class Draws:
    """Normal numbers by name: the same ones in single and in double precision, on every device, and
    whatever else was drawn. What they follow from is taken once from torch's global generator."""

    def __init__(self, absolute: bool = False) -> None:
        self._seed = int(torch.randint(2**31, ()))
        self._absolute = absolute

    def normal(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        """N(0, 1), or its absolute values, float64 of `shape`, on the CPU."""
        seed = crc32(f"{self._seed} {name}".encode())  # the generator takes 32 bits of a seed
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(*shape, dtype=torch.float64, generator=generator)
        return drawn.abs() if self._absolute else drawn


@final
class Passes:
    """Passes of `model` on inputs of a batch, or some of its rows.

    Tokens are no numbers that could be gaussian, or moved a little; so where the network embeds one
    of its integer inputs, the embedding is replaced by N(0, r^2), r being the root mean square of the
    table (`source` "gaussian"), and moved by r times the distance.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        layers: Sequence[WeightedLayer],
        source: Source,
        draws: Draws,
    ) -> None:
        self.model, self.inputs, self.layers = model, inputs, layers
        self.source, self.draws = source, draws
        self.rows = len(_tensors(inputs)[0])
        for layer in layers:
            layer.weight.requires_grad_()
        self.reached = any(x.is_floating_point() for x in _tensors(inputs))

    def __call__(self, row: int | None = None, distance: float = 0.0) -> Any:
        """The outputs for the batch, or for its example `row` alone, each input moved by `distance`
        times N(0, 1)."""
        rows = slice(None) if row is None else slice(row, row + 1)
        moved = 0

        def real(x: torch.Tensor) -> torch.Tensor:
            nonlocal moved
            if distance and x.is_floating_point():
                x = x + distance * self.draws.normal(f"move{moved}", x.shape).to(x)
                moved += 1
            return x[rows]

        inputs = tree_map_only(torch.Tensor, real, self.inputs)
        with refusing_unknown_attention(self.layers), _Embedded(self, inputs, rows, distance):
            return call(self.model, inputs)

    def calibrate(self) -> None:
        """Batch norm's statistics become those of the batch, and stay."""
        with _Embedded(self, self.inputs, slice(None), 0.0):
            calibrate(self.model, [self.inputs])

    def embedded(
        self, number: int, out: torch.Tensor, table: torch.Tensor, rows: slice, distance: float
    ) -> torch.Tensor:
        """What the network gets for the `number`-th embedding of an input, of shape (b, .., d)."""
        self.reached = True
        shape = (self.rows, *out.shape[1:])
        scale = table.detach().double().square().mean().sqrt().item()
        if self.source == "gaussian":
            out = scale * self.draws.normal(f"token{number}", shape)[rows].to(out)
        if distance:
            out = out + distance * scale * self.draws.normal(f"near{number}", shape)[rows].to(out)
        return out

    def check(self) -> None:
        """An error where no input was one that could be drawn or moved."""
        if not self.reached:
            raise NasplugError(
                "the network must have real numbers as inputs, or embed an integer input as it is, but "
                "this one does neither"
            )


class _Embedded(TorchFunctionMode):
    def __init__(self, passes: Passes, inputs: Inputs, rows: slice, distance: float) -> None:
        super().__init__()
        self._passes, self._rows, self._distance = passes, rows, distance
        self._integers = [x for x in _tensors(inputs) if not x.is_floating_point()]
        self._count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func is functional.embedding:
            given = dict(zip(("input", "weight"), args, strict=False)) | kwargs
            if any(_same(given["input"], x) for x in self._integers):
                out = self._passes.embedded(
                    self._count, out, given["weight"], self._rows, self._distance
                )
                self._count += 1
        return out


def _tensors(inputs: Inputs) -> list[torch.Tensor]:
    return [x for x in tree_leaves(inputs) if isinstance(x, torch.Tensor)]


def _same(ids: torch.Tensor, given: torch.Tensor) -> bool:
    return ids.shape == given.shape and (
        ids.data_ptr() == given.data_ptr() or torch.equal(ids, given)
    )


def readout(outputs: Any, how: Readout, draws: Draws) -> torch.Tensor:
    """R of each example, shape (b,): the sum of the network's main output, or its product with a
    seeded gaussian vector.

    Where a network ends in a layer norm, the sum of its output is constant, and so is the sum of
    squares: all gradients would be round-off.
    """
    output = main_output(outputs)
    if output is None:
        raise NasplugError("the network must have real numbers as outputs, but this one has none")
    if how == "projection":
        output = output * draws.normal("readout", output.shape[1:]).to(output)
    return output.flatten(1).sum(1) if output.ndim > 1 else output


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """The batch norms of a network."""
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


@contextmanager
def without_batch_norm(model: nn.Module) -> Iterator[None]:
    """Within it each batch norm gives out what it gets."""
    hooks = [m.register_forward_hook(lambda _, args, out: args[0]) for m in batch_norms(model)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def draw_weights(model: nn.Module, layers: Sequence[WeightedLayer], draws: Draws) -> None:
    """N(0, 1) weights, biases 0, and normalisation that scales by 1, as Zen-NAS and DE-NAS do."""
    weights = {id(layer.weight) for layer in layers}
    for number, layer in enumerate(layers):
        layer.weight.copy_(draws.normal(f"weight{number}", layer.weight.shape))
    for module in model.modules():
        own = dict(module.named_parameters(recurse=False))
        norm = "norm" in type(module).__name__.lower()
        if norm or any(id(p) in weights for p in own.values()):
            for name, parameter in own.items():
                if "bias" in name:
                    parameter.zero_()
                elif id(parameter) not in weights:
                    parameter.fill_(1)
