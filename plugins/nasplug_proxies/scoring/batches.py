"""The batches that proxies ask for, and tensors of a batch changed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, final

import torch
from torch.utils._pytree import tree_map_only

from nasplug import NasplugError, ZeroCostProxy, seeded
from nasplug.contracts.inputs import Inputs
from nasplug.contracts.probe import Examples

if TYPE_CHECKING:
    from nasplug.contracts.task import Task

NEEDS_OF_A_TASK = frozenset({"loss", "classes", "gradients", "layers"})
"""Needs that only a task can meet."""


@final
class ProxyBatches:
    """Makes the batches that proxies ask for, each once; the same ones for the same `seed`.

    `example_inputs` is `SearchSpace.example_inputs`; `task` is needed by proxies that need data.
    """

    def __init__(
        self,
        example_inputs: Callable[[int], Inputs],
        task: Task | None = None,
        batch_size: int = 64,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.example_inputs, self.task = example_inputs, task
        self.batch_size, self.seed, self.device = batch_size, seed, torch.device(device)
        self._made: dict[tuple[str, int, int], list[Examples]] = {}

    def examples(self, name: str, proxy: ZeroCostProxy) -> list[Examples]:
        """Its batches, on the CPU; an error in one line where the task cannot give them."""
        if self.task is None and (proxy.input == "data" or NEEDS_OF_A_TASK & set(proxy.needs)):
            raise NasplugError(
                f"{name} needs data, but there is no task; choose one, e.g. task=digits with an "
                "evaluator that uses it, or a proxy without data, e.g. synflow"
            )
        made = self._make(proxy.input, proxy.samples or self.batch_size, proxy.batches)
        if "classes" in proxy.needs:
            batch = made[0].batch
            labels = batch[-1] if isinstance(batch, tuple | list) else None
            if (
                not isinstance(labels, torch.Tensor)
                or labels.dtype != torch.int64
                or labels.ndim != 1
            ):
                raise NasplugError(
                    f"{name} needs a task whose batches end with one class label an example, an int64 of "
                    f"shape (b,), but {type(self.task).__name__} has others"
                )
        return made

    def _make(self, source: str, samples: int, batches: int) -> list[Examples]:
        key = (source, samples, batches)
        if key not in self._made:
            with seeded(self.seed):
                if source == "data" and self.task is not None:
                    found = islice(self.task.train_batches(samples, self.seed), batches)
                    self._made[key] = [Examples(self.task.inputs(b), b) for b in found]
                elif source == "none":
                    self._made[key] = [Examples(())]
                else:
                    fill = torch.randn_like if source == "gaussian" else torch.ones_like
                    shapes = self.example_inputs(samples)
                    self._made[key] = [Examples(_real(shapes, fill)) for _ in range(batches)]
        if len(self._made[key]) < batches:
            raise NasplugError(
                f"the task must have {batches} training batches of {samples}, but it has "
                f"{len(self._made[key])}; lower batch_size"
            )
        return self._made[key]


def placed(examples: Examples, device: torch.device, dtype: torch.dtype) -> Examples:
    """`examples` on `device`, their real numbers in `dtype`."""

    def place(x: torch.Tensor) -> torch.Tensor:
        return x.to(device, dtype if x.is_floating_point() else None)

    return Examples(*tree_map_only(torch.Tensor, place, (examples.inputs, examples.batch)))


def _real(parts: Any, fill: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same shapes, with all real numbers anew."""
    return tree_map_only(torch.Tensor, lambda x: fill(x) if x.is_floating_point() else x, parts)
