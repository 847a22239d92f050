"""The published once-for-all accuracy predictors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from nasplug import NasplugError, unknown
from nasplug.contracts.types import FloatArray
from nasplug_tables.ofa_surrogate.networks import MOBILENET, RESNET, Networks
from nasplug_tables.readers.opening import checked, reading

INPUT_SIZES = tuple(range(112, 225, 16))
WHAT = "a published accuracy predictor"
LARGEST = 10_000_000
"""Numbers of one tensor; a published one has 160,000."""

KERNELS, EXPANDS = (3, 5, 7), (3, 4, 6)
RATIOS = (0.2, 0.25, 0.35)
BLOCKS, EXTRA = (2, 2, 4, 2), 2


@final
class AccuracyPredictor:
    """A multilayer perceptron from a published configuration to top-1 (%), in double precision.

    Which network it is for follows from its inputs: 128 for MobileNetV3 (kernels and expand ratios
    of 20 blocks, 8 image sizes), 82 for ResNet-50 (8 image sizes, stem, 6 widths, 18 expand ratios).
    Cai et al., Once-for-All, ICLR 2020; files of han-cai/files.
    """

    def __init__(self, path: str) -> None:
        file = checked(Path(path), "evaluator.accuracy", "the file of a published predictor")
        with reading(file, WHAT):
            self._layers = _layers(_state(file))
        self.inputs = self._layers[0][0].shape[1]
        if self.inputs not in (128, 82):
            raise NasplugError(
                f"evaluator.accuracy must be a published predictor with 128 or 82 inputs, but {path} "
                f"has {self.inputs}"
            )

    @property
    def networks(self) -> Networks:
        """The networks that it was trained on."""
        return MOBILENET if self.inputs == 128 else RESNET

    def __call__(self, configs: Sequence[Mapping[str, Any]], image_size: int) -> FloatArray:
        """Top-1 in percent, shape (n,)."""
        if image_size not in self.networks.sizes:
            sizes = self.networks.sizes
            raise unknown("image size of the accuracy predictor", image_size, sizes)
        encode = _mobilenet if self.inputs == 128 else _resnet
        try:
            x = np.array([encode(config, image_size) for config in configs])
        except (KeyError, ValueError, IndexError):
            raise NasplugError(
                "evaluator.accuracy must be the predictor of this space, but it is for the blocks of "
                f"{self.networks.name}; type {self.networks.space}"
            ) from None
        for weight, bias in self._layers[:-1]:
            x = np.maximum(x @ weight.T + bias, 0.0)
        weight, bias = self._layers[-1]
        return 100.0 * (x @ weight.T + bias)[:, 0]


def _state(path: Path) -> dict[str, FloatArray]:
    """The matrices, vectors and numbers of a state dict."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files that are refused below
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch's own text recommends to run what is in the file
        state = None
    if not isinstance(state, dict) or not all(map(_is_weight, state.values())) or not state:
        raise NasplugError(
            f"{path} must be {WHAT}, a state dict that torch.load(.., weights_only=True) reads, of "
            "finite floating-point tensors, but is not"
        )
    return {str(name): value.detach().numpy().astype(float) for name, value in state.items()}


def _is_weight(value: Any) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.is_floating_point()
        and value.device.type == "cpu"
        and value.numel() <= LARGEST
        and bool(value.isfinite().all())
    )


def _layers(state: Mapping[str, FloatArray]) -> list[tuple[FloatArray, FloatArray]]:
    """Weight (outputs, inputs) and bias (outputs,) of every layer; the last may have `base_acc`."""
    weights = [value for value in state.values() if value.ndim == 2]
    biases = [value for name, value in state.items() if name.endswith("bias")]
    if "base_acc" in state and len(biases) < len(weights):
        biases.append(state["base_acc"].reshape(-1))
    ends = [1, *(weight.shape[1] for weight in weights[:0:-1])][::-1]
    if not weights or [bias.shape for bias in biases] != [(end,) for end in ends]:
        raise ValueError("its weights and biases are not those of a perceptron with one output")
    if [weight.shape[0] for weight in weights] != ends:
        raise ValueError("its layers do not fit on one another")
    return list(zip(weights, biases, strict=True))


def _mobilenet(config: Mapping[str, Any], image_size: int) -> FloatArray:
    """Inputs of shape (128,): one-hot kernels, expand ratios, image size; 0 beyond the depth."""
    x = np.zeros(128)
    for slot, kernel, expand in zip(range(20), config["ks"], config["e"], strict=True):
        if slot % 4 < config["d"][slot // 4]:
            x[3 * slot + KERNELS.index(kernel)] = 1.0
            x[60 + 3 * slot + EXPANDS.index(expand)] = 1.0
    x[120 + INPUT_SIZES.index(image_size)] = 1.0
    return x


def _resnet(config: Mapping[str, Any], image_size: int) -> FloatArray:
    """Inputs of shape (82,): one-hot image size, stem, widths, expand ratios; 0 beyond the depth."""
    x = np.zeros(82)
    x[RESNET.sizes.index(image_size)] = 1.0
    x[8 + int(config["d"][0] == 2)] = 1.0
    for place, index in enumerate(config["w"]):
        x[10 + 3 * place + index] = 1.0
    slot = 0
    for blocks, more in zip(BLOCKS, config["d"][1:], strict=True):
        for k in range(slot, slot + blocks + more):
            x[28 + 3 * k + RATIOS.index(config["e"][k])] = 1.0
        slot += blocks + EXTRA
    return x
