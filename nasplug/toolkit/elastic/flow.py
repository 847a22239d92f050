"""What is run at all: sequences of elastic depth, and residuals that can be left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, final

from torch import Tensor, nn

from nasplug.contracts.errors import NasplugError
from nasplug.toolkit.elastic.layer import Elastic, Ties, extract
from nasplug.toolkit.elastic.sizes import Sized


@final
class ElasticSequential(Elastic, nn.Sequential):
    """Modules run one after the other, of which some may be left out.

    Its parameters have the names of a plain sequence's: "0.weight", "1.weight", ..

    Args:
        modules: All of them.
        depth: How many of them run: a number, or a size that variables decide; None: all.

    Iterating gives the modules that run.
    """

    KIND = nn.Sequential

    def __init__(self, *modules: nn.Module, depth: Sized | None = None) -> None:
        super().__init__(*modules)
        self.declare(depth=len(modules) if depth is None else depth)
        most = self.full[0][1]
        if not isinstance(most, int) or not 0 <= most <= len(modules):
            raise NasplugError(
                f"depth must be at most {len(modules)}, the number of modules, but got {most}"
            )
        self.running = tuple(range(most))

    def activate(self, depth: int | Iterable[int] | None = None) -> None:
        """Run the first `depth` modules, or those at these places, in this order."""
        depth = self.full[0][1] if depth is None else depth
        running = tuple(range(depth) if isinstance(depth, int) else depth)
        if running and not 0 <= min(running) <= max(running) < len(self._modules):
            raise NasplugError(
                f"depth must be at most {len(self._modules)}, or places below it, but got {depth}"
            )
        self.running = running

    def __iter__(self) -> Iterator[nn.Module]:
        modules = list(self._modules.values())
        for place in self.running:
            module = modules[place]
            assert module is not None
            yield module

    def forward(self, input: Any) -> Any:
        """The running modules' composition."""
        modules = list(self._modules.values())
        for place in self.running:
            input = modules[place](input)
        return input

    def extract(self, ties: Ties | None = None) -> nn.Module:
        """A plain sequence of the running ones, numbered anew."""
        ties = Ties() if ties is None else ties
        sequence = nn.Sequential(*(extract(module, ties) for module in self))
        sequence.training = self.training
        return sequence


class Residual(nn.Module):
    """body(x) + shortcut(x)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    @property
    def residual_body(self) -> nn.Module:
        """What is added to the shortcut."""
        return self.body

    def forward(self, x: Tensor) -> Tensor:
        """Whatever body and shortcut take and give."""
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


@final
class ElasticResidual(Elastic, Residual):
    """body(x) + shortcut(x), or the shortcut alone.

    Args:
        body: The layers beside the shortcut.
        shortcut: Applied to the input; None: the input itself.
        active: Whether the body runs: True, or a choice among False and True.
    """

    KIND = Residual

    def __init__(
        self, body: nn.Module, shortcut: nn.Module | None = None, active: Sized = True
    ) -> None:
        super().__init__(body, nn.Identity() if shortcut is None else shortcut)
        self.declare(active=active)
        self.active = True

    def activate(self, active: bool | None = None) -> None:
        """Run the body, or leave it out."""
        self.active = active is None or bool(active)

    def forward(self, x: Tensor) -> Tensor:
        """Whatever body and shortcut take and give."""
        return super().forward(x) if self.active else self.shortcut(x)

    def extract(self, ties: Ties | None = None) -> nn.Module:
        """A plain residual, or the shortcut."""
        return super().extract(ties) if self.active else extract(self.shortcut, ties)
