"""The published once-for-all latency tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, final

import yaml

from nasplug import NasplugError
from nasplug_tables.readers.opening import checked, reading

WIDTHS = (32, 48, 96, 136, 192)
"""Of the five stages, at width 1.2, which is what the tables were measured of."""

WHAT = "a published latency table, a YAML file"
FIRST, LAST, MIXED, CLASSES = 24, 1152, 1536, 1000
STRIDES = (2, 2, 2, 1, 2)
KERNELS, EXPANDS = (3, 5, 7), (3, 4, 6)
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
        """Milliseconds by the name of a block, of every block that a network may have."""
        path = checked(Path(self.path), "evaluator.latency", "the file of a published table")
        with reading(path, WHAT):
            means = _read(path.read_text(encoding="utf-8"))
        missing = [key for key in _keys(_size(path, means)) if key not in means]
        if missing:
            raise NasplugError(
                f"{path} must hold a row for every block, but has none for {len(missing)} of them, the "
                f"first {missing[0]}"
            )
        return means

    @cached_property
    def image_size(self) -> int:
        """The image size that the table was measured at."""
        return _size(Path(self.path), self._means)

    def __call__(self, config: Mapping[str, Any]) -> float:
        """Milliseconds of a published configuration {"ks": 20, "e": 20, "d": 5}."""
        if "ks" not in config:
            raise NasplugError(
                "evaluator.latency is for MobileNetV3, but this space has no kernels"
            )
        return sum(self._means[key] for key in _network(self.image_size, config))


def _read(text: str) -> dict[str, float]:
    """Block and mean of a YAML mapping of blocks to `{mean: milliseconds, ..}`.

    The events of the parser are read one by one, not what it would make of them: aliases in a YAML
    file can stand for any amount of memory, and brackets take for ever.
    """
    events = iter(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    for start in (yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.MappingStartEvent):
        _expect(events, start)
    means: dict[str, float] = {}
    while block := _scalar(events):
        _expect(events, yaml.MappingStartEvent)
        row: dict[str, str] = {}
        while name := _scalar(events):
            row[name] = _expect(events, yaml.ScalarEvent).value
        block = block.rstrip(":")
        if block in means or "mean" not in row:
            raise ValueError(f"block {block!r} must have one mean")
        means[block] = float(row["mean"])
        if not 0 <= means[block] < math.inf:
            raise ValueError(f"a mean must be in milliseconds, but {block!r} has {row['mean']}")
    for end in (yaml.DocumentEndEvent, yaml.StreamEndEvent):
        _expect(events, end)
    return means


def _scalar(events: Iterator[Any]) -> str | None:
    """The next name of a mapping, None at its end."""
    event = _expect(events, yaml.ScalarEvent, yaml.MappingEndEvent)
    return str(event.value) if isinstance(event, yaml.ScalarEvent) else None


def _expect(events: Iterator[Any], *kinds: type) -> Any:
    """The next event, which must be of one of these kinds."""
    event = next(events)
    if not isinstance(event, kinds):
        line = event.start_mark.line + 1
        raise ValueError(f"line {line} is not of the form BLOCK: {{mean: MILLISECONDS}}")
    return event


def _size(path: Path, means: Mapping[str, float]) -> int:
    for key in means:
        if found := re.match(r"Conv-input:(\d{1,5})x", key):
            return int(found[1])
    raise NasplugError(f"{path} must hold a row Conv-input:..., but has none")


def _network(size: int, config: Mapping[str, Any]) -> Iterator[str]:
    """The names of the blocks of a network, in order."""
    after, width = _half(size), FIRST
    yield f"Conv-input:{size}x{size}x3-output:{after}x{after}x{FIRST}"
    size = after
    yield _block(size, size, width, width, width, 3, 1, 1, 0, 0)
    for s, (stride, width_out) in enumerate(zip(STRIDES, WIDTHS, strict=True)):
        for place in range(config["d"][s]):
            step = stride if place == 0 else 1
            after = _half(size) if step == 2 else size
            kernel, expand = config["ks"][4 * s + place], config["e"][4 * s + place]
            skip = int(step == 1 and width == width_out)
            middle, more = width * expand, (SQUEEZE[s], HARD_SWISH[s])
            yield _block(size, after, width, width_out, middle, kernel, step, skip, *more)
            size, width = after, width_out
    yield f"Conv_1-input:{size}x{size}x{width}-output:{size}x{size}x{LAST}"
    yield f"AvgPool2D-input:{size}x{size}x{LAST}-output:1x1x{LAST}"
    yield f"Conv_2-input:1x1x{LAST}-output:1x1x{MIXED}"
    yield f"Logits-input:1x1x{MIXED}-output:{CLASSES}"


def _keys(size: int) -> list[str]:
    """The names of all blocks that networks have at an image size."""
    uniform = (
        {"ks": [kernel] * 20, "e": [expand] * 20, "d": [2] * 5}
        for kernel, expand in product(KERNELS, EXPANDS)
    )
    return list(dict.fromkeys(key for config in uniform for key in _network(size, config)))


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
