"""Open choices that stand in any network, and the search space that such a network is."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

from torch import nn

from nasplug import NasplugError
from nasplug_nni import nni3
from nasplug_nni.space.nni_space import NniSpace


class Choice(nn.Module, ABC):
    """An open choice in a network, which cannot run until `space` or `DartsTrainer` decides."""

    label: str | None

    @abstractmethod
    def opened(self, label: str) -> nn.Module:
        """The choice of nni 3 that it stands for."""

    def chosen(self, value: Any) -> Any:
        """What nni 3's `value` means; here itself."""
        return value

    def forward(self, *args: Any) -> Any:
        """An error: nothing is chosen."""
        raise NasplugError(
            f"a network must have no open choices to run, but has this {type(self).__name__}; search it "
            "by DartsTrainer(..) or nasplug_nni.retiarii.space(network)"
        )


@final
class LayerChoice(Choice):
    """One of several layers, of a list or of a mapping by name."""

    def __init__(
        self,
        candidates: Sequence[nn.Module] | Mapping[str, nn.Module],
        label: str | None = None,
    ) -> None:
        super().__init__()
        self.label = label
        self.named = isinstance(candidates, Mapping)
        pairs = candidates.items() if isinstance(candidates, Mapping) else enumerate(candidates)
        for name, candidate in pairs:
            self.add_module(str(name), candidate)

    def opened(self, label: str) -> nn.Module:
        """nni's layer choice."""
        candidates = dict(self.named_children())
        opened: nn.Module = nni3.LayerChoice(
            candidates if self.named else list(candidates.values()), label=label
        )
        return opened


@final
class InputChoice(Choice):
    """`n_chosen` of `n_candidates` tensors (any number where it is None), reduced to one."""

    def __init__(
        self,
        n_candidates: int,
        n_chosen: int | None = 1,
        reduction: str = "sum",
        label: str | None = None,
    ) -> None:
        super().__init__()
        self.n_candidates = n_candidates
        self.n_chosen = n_chosen
        self.reduction = reduction
        self.label = label

    def opened(self, label: str) -> nn.Module:
        """nni's input choice."""
        opened: nn.Module = nni3.InputChoice(
            self.n_candidates, self.n_chosen, self.reduction, label=label
        )
        return opened


@final
class ValueChoice(Choice):
    """One of several numbers, which calling it without arguments gives, in `forward`."""

    def __init__(self, candidates: Sequence[float], label: str | None = None) -> None:
        super().__init__()
        self.candidates = list(candidates)
        self.label = label

    def opened(self, label: str) -> nn.Module:
        """nni's layer choice of constants, so that it can be mixed."""
        opened: nn.Module = nni3.LayerChoice(list(map(Constant, self.candidates)), label=label)
        return opened

    def chosen(self, value: Any) -> Any:
        """The number at a place."""
        return self.candidates[value]


@final
class Constant(nn.Module):
    """A number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self) -> float:
        """The number."""
        return self.value

    def extra_repr(self) -> str:
        """The number."""
        return str(self.value)


class Opened(nni3.ModelSpace):  # type: ignore[misc]  # nni has no types
    """A copy of a network whose choices are nni 3's, its layers initialised anew."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = _opened(copy.deepcopy(model), "model")
        for module in self.model.modules():
            if reset := getattr(module, "reset_parameters", None):
                reset()

    def forward(self, *args: Any) -> Any:
        """The network's."""
        return self.model(*args)


def space(model: nn.Module, **knobs: Any) -> NniSpace:
    """The search space of a network with open choices, for any strategy; `knobs` as of `NniSpace`.

    >>> space(Net(), input_shape=(1, 28, 28))
    """
    return NniSpace(Opened, {"model": model}, **knobs)


def open_choices(model: nn.Module) -> dict[str, Choice]:
    """The choices of a network by their labels."""
    found = ((name, m) for name, m in model.named_modules() if isinstance(m, Choice))
    return {choice.label or name: choice for name, choice in found}


def _opened(module: nn.Module, path: str) -> nn.Module:
    for name, child in module.named_children():
        module.add_module(name, _opened(child, f"{path}.{name}"))
    if isinstance(module, Choice):
        return module.opened(module.label or path.partition(".")[2])
    return module
