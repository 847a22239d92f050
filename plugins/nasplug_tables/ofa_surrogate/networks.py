"""The networks that the published once-for-all files were made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nasplug import NasplugError, SearchSpace
from nasplug.contracts.capabilities import OnceForAllSpace


@dataclass(frozen=True)
class Networks:
    """The networks that a file describes, identified by the parameters of the smallest and largest.

    name: for errors.  space: the words to type for it.  params: of the smallest and the largest.
    sizes: image sizes in pixels at which the published predictor was trained.
    entries: of each list in a published configuration.
    """

    name: str
    space: str
    params: tuple[int, int]
    sizes: tuple[int, ...]
    entries: Mapping[str, int]

    def check(self, space: SearchSpace, file: str, setting: str, kind: str) -> None:
        """Raise NasplugError unless the networks of `space` are those that `file` describes."""
        found = space.costs([space.smallest, space.largest]).get("params")
        if found is None or tuple(map(int, found)) != self.params:
            had = "unknown numbers of" if found is None else f"{found[0]:,.0f} to {found[1]:,.0f}"
            published = space.to_ofa(space.smallest) if isinstance(space, OnceForAllSpace) else {}
            alike = {key: len(values) for key, values in published.items()} == dict(self.entries)
            other = (
                ", or evaluator.extrapolate=true to use its values nevertheless" if alike else ""
            )
            raise NasplugError(
                f"{setting} must be the {kind} of this space, but {file} is for {self.name} with 1,000 "
                f"classes, of {self.params[0]:,} to {self.params[1]:,} parameters, and this space's "
                f"networks have {had} parameters; type {self.space}{other}"
            )


MOBILENET = Networks(
    "MobileNetV3 of width 1.2",
    "+space=ofa_mbv3_w12",
    (4_602_456, 10_701_632),
    (160, 176, 192, 208, 224),
    {"ks": 20, "e": 20, "d": 5},
)
"""The predictor also has inputs for 112 to 144 pixels, but 112 was not trained, and at 128 it predicts
more than at 160 for some networks."""

RESNET = Networks(
    "ResNet-50",
    "+space=ofa_resnet50",
    (6_539_280, 48_105_992),
    (128, 144, 160, 176, 192, 224, 240, 256),
    {"d": 5, "e": 18, "w": 6},
)
