"""Whether a network's outputs stayed as they were, but for the order of their elastic channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

Outputs = Mapping[str, torch.Tensor]
"""A network's tensors by their places in its outputs (`named_tensors` of `nested`)."""


def elastic_axes(whole: Outputs, others: Iterable[Outputs]) -> dict[str, set[int]]:
    """For each place the axes that are of another size in `others`, the outputs of other sub-networks
    for the same inputs: hidden states have their channels there, class scores have none."""
    found: dict[str, set[int]] = {place: set() for place in whole}
    for outputs in others:
        for place in whole.keys() & outputs.keys():
            sizes = zip(whole[place].shape, outputs[place].shape, strict=True)
            found[place] |= {axis for axis, (a, b) in enumerate(sizes) if a != b}
    return found


def change(before: Outputs, after: Outputs, axes: Mapping[str, Iterable[int]]) -> float:
    """The largest change of a real number, relative to the largest of its tensor where that is above
    1. Along `axes` the order does not count."""
    most = 0.0
    for place, old in before.items():
        new = after[place]
        if not old.is_floating_point() or not old.numel():
            continue
        for axis in axes.get(place, ()):
            old, new = old.sort(axis).values, new.sort(axis).values
        most = max(most, float((old - new).abs().max() / old.abs().max().clamp(min=1.0)))
    return most
