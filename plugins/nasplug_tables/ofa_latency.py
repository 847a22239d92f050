"""The published once-for-all latency tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, final

import yaml

from nasplug import NasplugError

WIDTHS = (32, 48, 96, 136, 192)
"""Of the five stages, at width 1.2, which is what the tables were measured of."""

FIRST, LAST, MIXED, CLASSES = 24, 1152, 1536, 1000
STRIDES = (2, 2, 2, 1, 2)
SQUEEZE = (0, 1, 0, 1, 1)
HARD_SWISH = (0, 0, 1, 1, 1)


@final
class LatencyTable:
    """Milliseconds of MobileNetV3 (width 1.2), the sum of its blocks' measured means.

    Cai et al., Once-for-All, ICLR 2020; the file is a YAML of han-cai/files, one image size each.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @cached_property
    def _means(self) -> Mapping[str, float]:
        if not Path(self.path).is_file():
            raise NasplugError(
                f"evaluator.latency must be the file of a published table, but {self.path} is none"
            )
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        table = yaml.load(Path(self.path).read_text(encoding="utf-8"), loader)
        return {key: float(row["mean"]) for key, row in table.items()}

    @cached_property
    def image_size(self) -> int:
        """The image size that the table was measured at."""
        for key in self._means:
            if found := re.match(r"Conv-input:(\d+)x", key):
                return int(found[1])
        raise NasplugError(f"{self.path} must hold a row Conv-input:..., but has none")

    def __call__(self, config: Mapping[str, Any]) -> float:
        """Milliseconds of a published configuration {"ks": 20, "e": 20, "d": 5}."""
        if "ks" not in config:
            raise NasplugError(
                "evaluator.latency is for MobileNetV3, but this space has no kernels"
            )
        size, after = self.image_size, _half(self.image_size)
        total = self._mean(f"Conv-input:{size}x{size}x3-output:{after}x{after}x{FIRST}")
        size, width = after, FIRST
        total += self._mean(_block(size, size, width, width, width, 3, 1, 1, 0, 0))
        for s, (stride, width_out) in enumerate(zip(STRIDES, WIDTHS, strict=True)):
            for place in range(config["d"][s]):
                step = stride if place == 0 else 1
                after = _half(size) if step == 2 else size
                kernel, expand = config["ks"][4 * s + place], config["e"][4 * s + place]
                skip = int(step == 1 and width == width_out)
                total += self._mean(
                    _block(
                        size,
                        after,
                        width,
                        width_out,
                        width * expand,
                        kernel,
                        step,
                        skip,
                        SQUEEZE[s],
                        HARD_SWISH[s],
                    )
                )
                size, width = after, width_out
        total += self._mean(f"Conv_1-input:{size}x{size}x{width}-output:{size}x{size}x{LAST}")
        total += self._mean(f"AvgPool2D-input:{size}x{size}x{LAST}-output:1x1x{LAST}")
        total += self._mean(f"Conv_2-input:1x1x{LAST}-output:1x1x{MIXED}")
        return total + self._mean(f"Logits-input:1x1x{MIXED}-output:{CLASSES}")

    def _mean(self, key: str) -> float:
        for name in (key, f"{key}:"):
            if name in self._means:
                return self._means[name]
        raise NasplugError(f"{self.path} must hold a row {key}, but has none")


def _half(size: int) -> int:
    return (size + 1) // 2


def _block(
    size: int,
    after: int,
    width: int,
    width_out: int,
    middle: int,
    kernel: int,
    stride: int,
    skip: int,
    squeeze: int,
    swish: int,
) -> str:
    """The name that the table gives to a block."""
    return (
        f"expanded_conv-input:{size}x{size}x{width}-output:{after}x{after}x{width_out}"
        f"-expand:{middle}-kernel:{kernel}-stride:{stride}-idskip:{skip}-se:{squeeze}-hs:{swish}"
    )
