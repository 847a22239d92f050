"""The DARTS trainer of nni before 3.0, as a plain loop over the super-network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, random_split

from nasplug import NasplugError, seeded
from nasplug.toolkit.networks.devices import move, resolve_device
from nasplug.toolkit.training.gradient_step import gradient_step
from nasplug.toolkit.training.second_order import architecture_gradient
from nasplug_nni.retiarii.choices import open_choices, space

log = logging.getLogger(__name__)


@final
class DartsTrainer:
    """Learns the choices of `model` by gradient (Liu et al., "DARTS", ICLR 2019).

    Order of calls: `fit`, then `export`. Half of the data trains the weights, half the choices.
    `model` itself stays as it is: what is trained is a super-network of its choices, with weights of
    its own. `optimizer` says which optimiser, and with which settings.

    Args:
        model: a network with open choices.
        loss: of (outputs, targets), a scalar.
        metrics: of (outputs, targets), a mapping of names to numbers, for the log.
        optimizer: of the weights, as made for `model.parameters()`.
        num_epochs: passes over the data.
        dataset: of pairs (input, target).
        grad_clip: largest norm of a step's gradient; 0 for no limit.
        batch_size: of a step.
        workers: processes that load data.
        device: None for CUDA where there is one.
        log_frequency: steps between two lines of the log; None for none.
        arc_learning_rate: of the choices (Adam).
        unrolled: whether the choices look one step of the weights ahead.
        seed: of the split, the order and the weights.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        metrics: Callable[[Any, Any], Mapping[str, float]],
        optimizer: torch.optim.Optimizer,
        num_epochs: int,
        dataset: Dataset[Any],
        grad_clip: float = 5.0,
        batch_size: int = 64,
        workers: int = 0,
        device: str | torch.device | None = None,
        log_frequency: int | None = None,
        arc_learning_rate: float = 3e-4,
        unrolled: bool = False,
        seed: int = 0,
    ) -> None:
        self.choices = open_choices(model)
        self.space = space(model)
        self.criterion = loss
        self.metrics = metrics
        self.num_epochs = num_epochs
        self.grad_clip = grad_clip
        self.log_frequency = log_frequency
        self.unrolled = unrolled
        self.device = resolve_device("auto" if device is None else str(device))
        with seeded(seed):
            self.supernet = self.space.supernet().to(self.device).train()
        self.alphas = [
            torch.zeros(len(v.options), device=self.device, requires_grad=True)
            for v in self.space.variables
        ]
        self.optimizer = type(optimizer)(self.supernet.parameters(), **optimizer.defaults)
        self.chooser = torch.optim.Adam(
            self.alphas, arc_learning_rate, (0.5, 0.999), weight_decay=1e-3
        )
        generator = torch.Generator().manual_seed(seed)
        halves = random_split(dataset, [0.5, 0.5], generator)
        if min(map(len, halves)) < batch_size:
            raise NasplugError(
                f"each half of the dataset must hold a batch, but batch_size is {batch_size} and half "
                f"of it {min(map(len, halves))} examples"
            )
        self.loaders = [
            DataLoader(
                half, batch_size, True, num_workers=workers, drop_last=True, generator=generator
            )
            for half in halves
        ]

    def fit(self) -> None:
        """Train the weights and the choices, a step of each in turn."""
        for epoch in range(self.num_epochs):
            for step, (batch, other) in enumerate(self._batches()):
                outputs, loss = self._learn(batch, other)
                if self.log_frequency and step % self.log_frequency == 0:
                    found = {"loss": float(loss), **self.metrics(outputs, batch[1])}
                    text = ", ".join(f"{name} {float(value):.4f}" for name, value in found.items())
                    log.info("epoch %d of %d, step %d: %s", epoch + 1, self.num_epochs, step, text)

    def export(self) -> dict[str, Any]:
        """What is chosen, by label: the number or name of a layer, a value, a list of inputs."""
        arch = tuple(int(alpha.detach().argmax()) for alpha in self.alphas)
        sample = self.space.to_nni(arch)
        return {label: self.choices[label].chosen(value) for label, value in sample.items()}

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        for batch, other in zip(*self.loaders, strict=False):
            yield move(batch, self.device), move(other, self.device)

    def _learn(self, batch: Any, other: Any) -> tuple[Any, Tensor]:
        weights = [p for p in self.supernet.parameters() if p.requires_grad]
        slopes = architecture_gradient(
            lambda: self._loss(batch)[1],
            lambda: self._loss(other)[1],
            weights,
            self.alphas,
            float(self.optimizer.param_groups[0]["lr"]),
            self.unrolled,
        )
        for alpha, slope in zip(self.alphas, slopes, strict=True):
            alpha.grad = slope
        self.chooser.step()
        outputs, loss = self._loss(batch)
        gradient_step(self.optimizer, loss, weights, self.grad_clip)
        return outputs.detach(), loss.detach()

    def _loss(self, batch: Any) -> tuple[Any, Tensor]:
        self.supernet.relax([alpha.softmax(0) for alpha in self.alphas])
        inputs, targets = batch
        outputs = self.supernet(inputs)
        return outputs, self.criterion(outputs, targets)
