"""The networks that the published once-for-all files were made of."""

from __future__ import annotations

from dataclasses import dataclass

from nasplug import NasplugError, SearchSpace


@dataclass(frozen=True)
class Networks:
    """A space of networks, told apart by how many parameters its smallest and largest have.

    name: for errors.  space: what to type for it.  params: of the smallest and the largest.
    sizes: of the images, in pixels, at which files for it can be believed.
    """

    name: str
    space: str
    params: tuple[int, int]
    sizes: tuple[int, ...]

    def check(self, space: SearchSpace, file: str, setting: str, kind: str) -> None:
        """Raise NasplugError unless `space` is of these networks, and `file` so describes them."""
        found = space.costs([space.smallest, space.largest]).get("params")
        if found is None or tuple(map(int, found)) != self.params:
            had = "unknown numbers of" if found is None else f"{found[0]:,.0f} to {found[1]:,.0f}"
            raise NasplugError(
                f"{setting} must be the {kind} of this space, but {file} is for {self.name} with 1,000 "
                f"classes, of {self.params[0]:,} to {self.params[1]:,} parameters, and this space's "
                f"networks have {had} parameters; type {self.space}, or evaluator.extrapolate=true to "
                "take its figures all the same"
            )


MOBILENET = Networks(
    "MobileNetV3 of width 1.2",
    "+space=ofa_mbv3_w12",
    (4_602_456, 10_701_632),
    (160, 176, 192, 208, 224),
)
"""The predictor has inputs for 112, 128 and 144 pixels, too, which it was hardly trained at: for many
networks it believes 128 to be better than 160."""

RESNET = Networks(
    "ResNet-50",
    "+space=ofa_resnet50",
    (6_539_280, 48_105_992),
    (128, 144, 160, 176, 192, 224, 240, 256),
)
