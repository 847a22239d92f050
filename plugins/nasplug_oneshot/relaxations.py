"""Relaxations: how much each option counts, as a differentiable function of alphas.

A design variable with k options has a tensor alpha of shape (k,); p = softmax(alpha) are the
probabilities of its options. Each class is a way from alphas to the weights of `SuperNetwork.mix`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, final

import torch
from torch.nn.functional import one_hot

from nasplug import NasplugError, PositiveFloat, Range

Alphas = Sequence[torch.Tensor]


class Relaxation(ABC):
    """Draws the weights of a mixture, one tensor of shape (options,) a design variable.

    `progress` is how far the search is, 0 to 1; all that is random comes from `generator`.
    """

    @abstractmethod
    def for_alphas(
        self, alphas: Alphas, progress: float, generator: torch.Generator
    ) -> list[torch.Tensor]:
        """The mixture with which the alphas learn, with its gradient."""

    def for_weights(
        self, alphas: Alphas, progress: float, generator: torch.Generator
    ) -> list[torch.Tensor]:
        """The mixture with which the shared weights learn; by default drawn as that of the alphas."""
        return self.for_alphas(alphas, progress, generator)


@final
class Softmax(Relaxation):
    """Every option counts with its probability: Liu, Simonyan, Yang, "DARTS: differentiable
    architecture search" (ICLR 2019), equation 2."""

    def for_alphas(
        self, alphas: Alphas, progress: float, generator: torch.Generator
    ) -> list[torch.Tensor]:
        """p."""
        return [alpha.softmax(0) for alpha in alphas]


@final
class Gumbel(Relaxation):
    """A sample of the probabilities, relaxed: softmax((alpha + Gumbel noise) / temperature).

    As it stands: Xie, Zheng, Liu, Lin, "SNAS: stochastic neural architecture search" (ICLR 2019),
    equation 5. With `hard` the sampled option alone counts forward, and the gradient is that of the
    relaxed sample: Dong, Yang, "Searching for a robust neural architecture in four GPU hours" (GDAS,
    CVPR 2019), equations 3 to 5.

    Args:
        hard: whether one option alone counts.
        initial_temperature: temperature at the beginning.
        final_temperature: temperature at the end; between them it falls in a straight line.
    """

    def __init__(
        self,
        hard: bool = True,
        initial_temperature: PositiveFloat = 10.0,
        final_temperature: PositiveFloat = 0.1,
    ) -> None:
        if not initial_temperature >= final_temperature > 0:
            raise NasplugError(
                "initial_temperature >= final_temperature > 0 must hold for strategy.relaxation, but got "
                f"{initial_temperature} and {final_temperature}"
            )
        self.hard = hard
        self.initial_temperature = initial_temperature
        self.final_temperature = final_temperature

    def for_alphas(
        self, alphas: Alphas, progress: float, generator: torch.Generator
    ) -> list[torch.Tensor]:
        """A relaxed or hard sample."""
        fall = self.final_temperature - self.initial_temperature
        temperature = self.initial_temperature + fall * progress
        return [self._sample(alpha, temperature, generator) for alpha in alphas]

    def _sample(
        self, alpha: torch.Tensor, temperature: float, generator: torch.Generator
    ) -> torch.Tensor:
        noise = torch.empty(alpha.shape).exponential_(generator=generator).log().neg()
        soft = ((alpha.log_softmax(0) + noise.to(alpha.device)) / temperature).softmax(0)
        return straight_through(soft, int(soft.argmax())) if self.hard else soft


@final
class BinaryGates(Relaxation):
    """One path at a time is active: Cai, Zhu, Han, "ProxylessNAS: direct neural architecture search
    on target task and hardware" (ICLR 2019), section 3.2.

    Shared weights learn on one sampled path. For the alphas, with `paths` = 2, two options are drawn
    and compete, as in the paper: one gate is open, and the loss's gradient by both gates reaches the
    two alphas through their probabilities among the two (equation 4). With 1, only the open gate has
    a gradient, and only its option is computed.

    Args:
        paths: 1 or 2: options computed while the alphas learn.
    """

    def __init__(self, paths: Annotated[int, Range(ge=1, le=2)] = 2) -> None:
        if paths not in (1, 2):
            raise NasplugError(f"paths of strategy.relaxation must be 1 or 2, but got {paths}")
        self.paths = paths

    def for_weights(
        self, alphas: Alphas, progress: float, generator: torch.Generator
    ) -> list[torch.Tensor]:
        """One option open, the others shut."""
        probabilities = [alpha.softmax(0) for alpha in alphas]
        return [straight_through(p, draw(p, 1, generator)[0]) for p in probabilities]

    def for_alphas(
        self, alphas: Alphas, progress: float, generator: torch.Generator
    ) -> list[torch.Tensor]:
        """One option open; of a second one, if `paths` is 2, the gate is ajar."""
        if self.paths == 1:
            return self.for_weights(alphas, progress, generator)
        return [self._compete(alpha, generator) for alpha in alphas]

    def _compete(self, alpha: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if len(alpha) == 1:
            return torch.ones_like(alpha)
        pair = draw(alpha.softmax(0), 2, generator)
        among = alpha[pair].softmax(0)
        opened = draw(among, 1, generator)[0]
        gates = straight_through(among, opened)
        ajar = AJAR * (1 - 2 * one_hot(torch.tensor(opened), 2).to(gates))
        return torch.zeros_like(alpha).index_put(
            (torch.tensor(pair, device=alpha.device),), gates + ajar
        )


AJAR = 1e-6
"""What a shut gate that competes lets through: enough for its option to be computed, so that its
gradient exists, and too little to change the output."""


def draw(p: torch.Tensor, n: int, generator: torch.Generator) -> list[int]:
    """`n` different options drawn by their probabilities."""
    likely = p.detach().cpu().clamp_min(1e-12)  # never 0, however far the alphas are apart
    drawn: list[int] = torch.multinomial(likely, n, generator=generator).tolist()
    return drawn


def straight_through(soft: torch.Tensor, option: int) -> torch.Tensor:
    """1 for `option`, exactly 0 for the others, with the gradient of `soft`."""
    hard = one_hot(torch.tensor(option, device=soft.device), len(soft)).to(soft)
    return hard + (soft - soft.detach())
