"""The super-network of any nni space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, final

import torch
from torch import nn
from torch.func import functional_call

from nasplug import Architecture, NasplugError, SuperNetwork, Variable, seeded
from nasplug_nni.space.choice_encoding import ChoiceEncoding, SubsetOf
from nasplug_nni.supernet.size_masks import Masks
from nasplug_nni.supernet.switch_builder import build_switched
from nasplug_nni.supernet.switch_modules import Pick, Selection
from nasplug_nni.supernet.weight_sharing import Store, entries, larger, part

KEPT = 32
"""How many networks with switches are kept."""


class Space(Protocol):
    """What a super-network needs to know of its space."""

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The design variables."""

    @property
    def encodings(self) -> tuple[ChoiceEncoding, ...]:
        """How each choice is written, in the order of the variables."""

    @property
    def places(self) -> dict[str, slice]:
        """Where each label's variables stand in an architecture."""

    @property
    def switchable(self) -> set[str]:
        """The labels that a network can switch as it runs."""

    @property
    def make(self) -> Callable[[], nn.Module]:
        """Calls the class; what comes out depends on nni's context."""

    @property
    def automatic(self) -> bool:
        """Whether nni numbers labels of this space itself."""

    @property
    def smallest(self) -> Architecture:
        """Every variable at its least option."""

    @property
    def largest(self) -> Architecture:
        """Every variable at its greatest option."""

    def to_nni(self, arch: Architecture) -> dict[str, Any]:
        """The sample."""

    def canonical(self, archs: Any) -> Any:
        """The canonical form."""

    def build(self, arch: Architecture) -> nn.Module:
        """The network alone."""

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """What the networks take."""


@final
class NniSuperNetwork(SuperNetwork, nn.Module):
    """All networks of an nni space in one set of weights.

    Choices among layers, inputs and depths are switches in a network that holds every candidate.
    What is read while a network is built (widths, kernel sizes, loose ends) cannot be switched: there
    is a network with switches for every such setting, made when it is first activated, and all of
    them take their parts of the same tensors, in `store`: leading channels, centres of kernels
    (Guo et al., "Single path one-shot", ECCV 2020; Chen et al., "AutoFormer", ICCV 2021).
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        self.selection = Selection()
        self.store = Store()
        self._networks: dict[Architecture, nn.Module] = {}
        self._soft: dict[int, torch.Tensor] = {}
        self._masks: dict[tuple[Architecture, int], Masks] = {}
        self._checked: set[tuple[Architecture, tuple[int, ...]]] = set()
        self._fill()
        self.activate(space.largest)

    def activate(self, arch: Architecture) -> None:
        """From now on, forward computes the sub-network of `arch`."""
        self.arch = tuple(arch)
        self._soft = {}
        self._setting = self._read(self.arch)
        self.selection.picks = {
            one.label: self._picks(one, self.arch[self.space.places[one.label]])
            for one in self.space.encodings
        }

    def relax(self, weights: Sequence[torch.Tensor]) -> None:
        """From now on, forward computes the mixture, until `activate`.

        The outputs of layers, of inputs and of depths are added up, times their weights. Of widths
        and kernel sizes the weights themselves are (`masks`), where that gives what each option alone
        would, which is tried out first; an error that names the choice where it does not.
        """
        picks: dict[str, Sequence[Pick]] = {}
        genes, soft = [0] * len(weights), {}
        for one in self.space.encodings:
            place = self.space.places[one.label]
            shares = weights[place]
            if one.label in self.space.switchable:
                picks[one.label] = self._shares(one, shares)
                continue
            for j, share in enumerate(shares, place.start):
                kept = torch.nonzero(share.detach()).flatten().tolist()
                if len(kept) > 1 or share.requires_grad:
                    soft[j] = share
                genes[j] = self.space.largest[j] if j in soft else kept[0]
            picks[one.label] = self._picks(one, genes[place])
        self.selection.picks = picks
        self._setting, self._soft = self._read(tuple(genes)), soft
        if soft and (self._setting, tuple(soft)) not in self._checked:
            self._check(self._setting, soft)
            self._checked.add((self._setting, tuple(soft)))

    def forward(self, *inputs: Any) -> Any:
        """What the networks of the space take and give."""
        network = self._network(self._setting)
        if network.training != self.training:
            network.train(self.training)
        whole = self.store.tensors()
        device = _device(whole.values())
        if _device(network.parameters()) != device:
            network.to(device)
        used = {e.name: part(whole[e.name], e) for e in entries(network, running=True)}
        for j, share in self._soft.items():
            self._mask(self._setting, j).apply(used, share)
        return functional_call(network, used, inputs, tie_weights=False)

    @torch.no_grad()
    def extract(self, arch: Architecture) -> nn.Module:
        """The plain network of `arch` with a copy of its weights, in the mode of this one."""
        before = self.selection.picks, self._setting, self._soft, self.arch
        self.activate(arch)
        with seeded(0):
            plain = self.space.build(self.arch)
        whole = self.store.tensors()
        mine = list(entries(self._network(self._setting), running=True))
        self.selection.picks, self._setting, self._soft, self.arch = before
        its = list(plain.state_dict(keep_vars=True).values())
        if [e.tensor.shape for e in mine] != [t.shape for t in its]:
            raise NasplugError(
                f"{type(plain).__name__} must register the same layers whatever is chosen, but does not "
                f"for {self.space.to_nni(arch)}; measure it otherwise, e.g. evaluator=training"
            )
        plain = plain.to(_device(whole.values()))
        for entry, tensor in zip(mine, plain.state_dict(keep_vars=True).values(), strict=True):
            tensor.copy_(part(whole[entry.name], entry))
        return plain.train(self.training)

    # ---- what is picked ----------------------------------------------------------------------------

    @staticmethod
    def _picks(one: ChoiceEncoding, indices: Sequence[int]) -> list[Pick]:
        value = one.decode(indices)
        return [(v, None) for v in value] if isinstance(one, SubsetOf) else [(value, None)]

    @staticmethod
    def _shares(one: ChoiceEncoding, weights: Sequence[torch.Tensor]) -> list[Pick]:
        """The picks of a mixture: options of weight 0 are left out."""
        if isinstance(one, SubsetOf):
            present = [share[1] for share in weights]
            return [(m, w) for m, w in zip(one.members, present, strict=True) if w.detach() != 0]
        (share,) = weights
        kept = torch.nonzero(share.detach()).flatten().tolist()
        return [(one.decode((i,)), share[i]) for i in kept]

    # ---- sizes that are mixed ----------------------------------------------------------------------

    def _mask(self, setting: Architecture, j: int) -> Masks:
        if (setting, j) not in self._masks:
            options = len(self.space.variables[j].options)
            self._masks[setting, j] = Masks(self._network, setting, j, options)
        return self._masks[setting, j]

    @torch.no_grad()
    def _check(self, setting: Architecture, soft: Mapping[int, torch.Tensor]) -> None:
        """Verify that masking reproduces the network that is built for each option.

        Tried with the smallest sizes, and with settings in which each option stands once; the error of
        the outputs may be at most 1e-3 of their spread over the inputs. Otherwise a NasplugError that
        names the variable that fails by itself, or all of them.
        """
        turns = range(max(map(len, soft.values())))
        tries = [{j: (turn + j) % len(share) for j, share in soft.items()} for turn in turns]
        smallest = {j: self.space.smallest[j] for j in soft}
        training, before = self.training, [b.clone() for b in self.buffers()]
        try:
            self._warm_up()
            if all(self._agrees(setting, attempt) for attempt in (smallest, *tries)):
                return
            alone = ({j: i} for j, share in soft.items() for i in range(len(share)))
            wrong = next((t for t in alone if not self._agrees(setting, t)), smallest)
        finally:
            for buffer, kept in zip(self.buffers(), before, strict=True):
                buffer.copy_(kept)
            self.train(training)
            self._setting, self._soft = setting, dict(soft)
        names = ", ".join(repr(self.space.variables[j].name) for j in wrong)
        raise NasplugError(
            f"choice {names} cannot be relaxed: the network reads it as it is built, and its options are "
            "no parts of the largest; search it otherwise, e.g. +strategy=spos or +strategy=linas"
        )

    def _agrees(self, setting: Architecture, options: Mapping[int, int]) -> bool:
        """Whether masks for single `options` give what the network built for them gives."""
        if not all(self._mask(setting, j).possible for j in options):
            return False
        inputs, self._soft = self._examples(), {}
        self._setting = tuple(options.get(j, gene) for j, gene in enumerate(setting))
        expected = self(*inputs)
        self._setting = setting
        for j, i in options.items():
            n = len(self.space.variables[j].options)
            self._soft[j] = torch.eye(n, device=expected.device)[i]
        spread = (
            (expected - expected.mean(0)).abs().max()
        )  # how much the outputs depend on the inputs
        return bool((self(*inputs) - expected).abs().max() <= 1e-3 * spread)

    def _warm_up(self) -> None:
        """Statistics of batch norms under which outputs depend on inputs; evaluation mode."""
        soft, self._soft = self._soft, {}
        self.train()
        with seeded(0):
            for _ in range(10):
                self(*self._examples())
        self.eval()
        self._soft = soft

    def _examples(self) -> list[torch.Tensor]:
        device = _device(self.store.tensors().values())
        return [x.to(device) for x in self.space.example_inputs(4)]

    # ---- the networks with switches ----------------------------------------------------------------

    def _read(self, arch: Architecture) -> Architecture:
        """`arch` with 0 for all that is switched."""
        genes = list(arch)
        for label in self.space.switchable:
            place = self.space.places[label]
            genes[place] = [0] * len(genes[place])
        return tuple(genes)

    def _network(self, setting: Architecture) -> nn.Module:
        network = self._networks.pop(setting, None)
        if network is None:
            with seeded(0):
                network = self._switched(setting, every=False)
        self._networks[setting] = network
        while len(self._networks) > KEPT:
            del self._networks[next(iter(self._networks))]
        return network

    def _switched(self, setting: Architecture, every: bool) -> nn.Module:
        space = self.space
        sample = space.to_nni(setting)
        return build_switched(space.make, sample, self.selection, space.automatic, every)

    def _settings(self) -> Iterator[Architecture]:
        """Settings that together have every option of what is read, the extremes first."""
        space = self.space
        free = [j for one in space.encodings if one.label not in space.switchable
                for j in range(*space.places[one.label].indices(len(space.variables)))]  # fmt: skip
        most = max((len(space.variables[j].options) for j in free), default=0)
        genes = [list(space.largest), list(space.smallest)]
        for turn in range(most):
            row = list(space.largest)
            for j in free:
                row[j] = (turn + j) % len(space.variables[j].options)
            genes.append(row)
        yield from dict.fromkeys(self._read(tuple(row)) for row in genes)

    def _fill(self) -> None:
        """Make a tensor in the store for every name, large enough for all."""
        found: dict[str, torch.Tensor] = {}
        for setting in self._settings():
            network = self._switched(setting, every=True)
            for entry in entries(network, running=False):
                known = found.get(entry.name)
                found[entry.name] = entry.tensor if known is None else larger(known, entry.tensor)
        for name, tensor in found.items():
            self.store.put(name, tensor)


def _device(tensors: Iterable[torch.Tensor]) -> torch.device:
    return next((tensor.device for tensor in tensors), torch.device("cpu"))
