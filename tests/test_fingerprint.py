"""The hash of nested values."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from nasplug.contracts.fingerprint import fingerprint
from nasplug.testing import ToyTask


@dataclass
class Output:
    logits: torch.Tensor
    loss: float = 0.5


class Opaque:
    """Its repr holds its address."""


BASE = torch.arange(6.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BASE, BASE.double()),
        (BASE, BASE.view(2, 3)),
        (BASE, BASE + torch.tensor([0, 0, 0, 0, 0, 1e-6])),
        (BASE.int(), BASE.int().view(torch.float32)),
        ([BASE, BASE], [[BASE], BASE]),
        ((1, "2"), (1, 2)),
        ({"a": 1}, {"b": 1}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (["ab", "c"], ["a", "bc"]),
        (Output(BASE), Output(BASE + 1)),
        (Output(BASE), Output(BASE, 0.6)),
        (BASE.bfloat16(), BASE.half()),
        (np.array([1, 2]), np.array([1, 3])),
        (np.array(["a", None], object), np.array(["a", "b"], object)),
    ],
)
def test_what_differs_has_another(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BASE.view(2, 3).t(), BASE.view(2, 3).t().contiguous()),
        (BASE.requires_grad_(), BASE.detach().clone()),
        ([1, BASE], (1, BASE.clone())),
        ({"a": BASE}, OrderedDict(a=BASE)),
        (Output(BASE), Output(BASE.detach().clone())),
        (Opaque(), Opaque()),
        (torch.tensor(3.0), torch.tensor(3.0)),
        (torch.zeros(0, 3), torch.zeros(0, 3)),
    ],
)
def test_what_is_equal_has_the_same(one: Any, other: Any) -> None:
    assert fingerprint(one) == fingerprint(other) and len(fingerprint(one)) == 64


def test_a_tasks_data_are_known_by_their_batches() -> None:
    class Moved(ToyTask):
        def _data(self, seed: int) -> Any:
            x, y = super()._data(seed)
            return x, y.roll(1)

    assert ToyTask().data_fingerprint() == ToyTask().data_fingerprint()
    others = [Moved(), ToyTask(samples=97), ToyTask(classes=4)]
    assert len({t.data_fingerprint() for t in (ToyTask(), *others)}) == 4
