"""The published once-for-all accuracy predictors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from nasplug import NasplugError, unknown
from nasplug.contracts.types import FloatArray

MOBILENET_SIZES = tuple(range(112, 225, 16))
RESNET_SIZES = (128, 144, 160, 176, 192, 224, 240, 256)
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
        state = _load(Path(path))
        matrices = [v.numpy().astype(float) for v in state.values() if v.ndim == 2]
        biases = [v.numpy().astype(float) for k, v in state.items() if k.endswith("bias")]
        self.inputs = matrices[0].shape[1] if matrices else 0
        if self.inputs not in (128, 82):
            raise NasplugError(
                f"evaluator.accuracy must be a published predictor with 128 or 82 inputs, but {path} "
                f"has {self.inputs}"
            )
        base = float(state["base_acc"]) if "base_acc" in state else 0.0
        last = [np.array([base])] if len(biases) < len(matrices) else []
        self._layers = list(zip(matrices, [*biases, *last], strict=True))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Image sizes that it knows."""
        return MOBILENET_SIZES if self.inputs == 128 else RESNET_SIZES

    def __call__(self, configs: Sequence[Mapping[str, Any]], image_size: int) -> FloatArray:
        """Top-1 in percent, shape (n,)."""
        if image_size not in self.sizes:
            raise unknown("image size of the accuracy predictor", image_size, self.sizes)
        encode = _mobilenet if self.inputs == 128 else _resnet
        try:
            x = np.array([encode(config, image_size) for config in configs])
        except KeyError as error:
            raise NasplugError(
                f"evaluator.accuracy must be the predictor of this space, but its networks have no {error}"
            ) from None
        for weight, bias in self._layers[:-1]:
            x = np.maximum(x @ weight.T + bias, 0.0)
        weight, bias = self._layers[-1]
        return 100.0 * (x @ weight.T + bias)[:, 0]


def _load(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise NasplugError(
            f"evaluator.accuracy must be the file of a published predictor, but {path} is none"
        )
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _mobilenet(config: Mapping[str, Any], image_size: int) -> FloatArray:
    """Inputs of shape (128,): one-hot kernels, expand ratios, image size; 0 beyond the depth."""
    x = np.zeros(128)
    for slot, (kernel, expand) in enumerate(zip(config["ks"], config["e"], strict=True)):
        if slot % 4 < config["d"][slot // 4]:
            x[3 * slot + KERNELS.index(kernel)] = 1.0
            x[60 + 3 * slot + EXPANDS.index(expand)] = 1.0
    x[120 + MOBILENET_SIZES.index(image_size)] = 1.0
    return x


def _resnet(config: Mapping[str, Any], image_size: int) -> FloatArray:
    """Inputs of shape (82,): one-hot image size, stem, widths, expand ratios; 0 beyond the depth."""
    x = np.zeros(82)
    x[RESNET_SIZES.index(image_size)] = 1.0
    x[8 + int(config["d"][0] == 2)] = 1.0
    for place, index in enumerate(config["w"]):
        x[10 + 3 * place + index] = 1.0
    slot = 0
    for blocks, more in zip(BLOCKS, config["d"][1:], strict=True):
        for k in range(slot, slot + blocks + more):
            x[28 + 3 * k + RATIOS.index(config["e"][k])] = 1.0
        slot += blocks + EXTRA
    return x
