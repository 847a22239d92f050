"""HAT's latency predictor: a multilayer perceptron."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nasplug import NasplugError, seeded
from nasplug.contracts.types import FloatArray
from nasplug_hat.latency.features import NAMES
from nasplug_hat.latency.files import existing

WIDTH, HIDDEN = 400, 3
"""Of HAT's: 10-400-400-400-400-1."""
STEPS, BATCH, RATE = 5000, 128, 1e-5
"""Of HAT's training with Adam and the mean squared error."""
WHAT = "a published latency predictor, a state dict of first_layer, layers.0 and so on, and predict"


@final
class Perceptron:
    """A perceptron from features, divided by `features.NORM`, to latency in units of the file's scale.

    Rectified linear layers named as HAT's `first_layer`, `layers.0` .. and `predict`; computed in
    double precision. Wang et al., ACL 2020, section 3.2.
    """

    def __init__(self, layers: list[tuple[FloatArray, FloatArray]]) -> None:
        self.layers = layers

    @classmethod
    def read(cls, path: Path) -> Perceptron:
        """The predictor in a file of torch.save; NasplugError if it holds none."""
        existing(path, WHAT)
        try:
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # whatever a file of another kind makes torch raise
            state = None
        if not isinstance(state, Mapping) or not all(map(_is_weight, state.values())):
            raise NasplugError(f"file must be {WHAT}, but {path} holds no state dict")
        inner = sum(str(name).startswith("layers.") for name in state) // 2
        names = ["first_layer", *(f"layers.{i}" for i in range(inner)), "predict"]
        keys = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
        if set(state) != keys:
            odd = sorted(map(str, set(state) ^ keys))
            raise NasplugError(
                f"file must be {WHAT}, but of the keys of {path} these are too many or missing: "
                f"{', '.join(odd[:3])}"
            )
        arrays = {name: value.detach().double().numpy() for name, value in state.items()}
        ends = len(NAMES)
        for name in names:
            weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
            outputs = 1 if name == "predict" else bias.size
            if weight.shape != (outputs, ends) or bias.shape != (outputs,):
                raise NasplugError(
                    f"file must be {WHAT}, from {len(NAMES)} features to one number, but {name}.weight of "
                    f"{path} has the shape {weight.shape} where ({outputs}, {ends}) fits"
                )
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise NasplugError(f"file must be {WHAT}, but {name} of {path} is not finite")
            ends = outputs
        return cls([(arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in names])

    @classmethod
    def fit(cls, X: FloatArray, y: FloatArray, seed: int) -> Perceptron:
        """One trained as HAT's are: on features (n, 10) and targets (n,), both about 1."""
        with seeded(seed):
            widths = [X.shape[1], *[WIDTH] * (HIDDEN + 1), 1]
            linears = [nn.Linear(a, b) for a, b in pairwise(widths)]
            optimiser = torch.optim.Adam([p for m in linears for p in m.parameters()], RATE)
            rows, targets = torch.tensor(X).float(), torch.tensor(y).float()
            for _ in range(STEPS):
                some = torch.randperm(len(rows))[:BATCH]
                out = rows[some]
                for linear in linears[:-1]:
                    out = functional.relu(linear(out))
                loss = functional.mse_loss(linears[-1](out)[:, 0], targets[some])
                optimiser.zero_grad()
                torch.autograd.backward([loss])
                optimiser.step()
        return cls(
            [
                (m.weight.detach().double().numpy(), m.bias.detach().double().numpy())
                for m in linears
            ]
        )

    def predict(self, X: FloatArray) -> FloatArray:
        """Latencies in units of the scale, shape (n,), of features (n, 10)."""
        for weight, bias in self.layers[:-1]:
            X = np.maximum(X @ weight.T + bias, 0.0)
        weight, bias = self.layers[-1]
        found: FloatArray = (X @ weight.T + bias)[:, 0]
        return found


def _is_weight(value: Any) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.is_floating_point()
        and value.device.type == "cpu"
    )
