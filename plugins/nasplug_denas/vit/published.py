"""Architectures in DE-NAS's notation of vision transformers, and its sampler."""

from __future__ import annotations

import ast
import random
from collections.abc import Mapping, Sequence
from typing import Any

from nasplug import NasplugError

Candidate = tuple[int | float, ...]
"""(depth, MLP ratio of each layer, heads of each layer, embedding)."""
EXAMPLE = "(2, 4.0, 3.5, 6, 10, 448)"


def from_denas(candidate: Sequence[float] | str) -> dict[str, Any]:
    """Values by variable of a candidate, a sequence or its text as in best_model_structure.txt."""
    found = _sequence(candidate)
    depth = found[0] if found else 0
    if not isinstance(depth, int) or depth < 1 or len(found) != 2 * depth + 2:
        raise NasplugError(
            "a candidate must be (depth, MLP ratio of each layer, heads of each layer, embedding), e.g. "
            f"{EXAMPLE}, but got {candidate!s:.200}"
        )
    values: dict[str, Any] = {"depth": depth, "embedding": found[-1]}
    for k in range(1, depth + 1):
        values[f"layer{k}.mlp_ratio"] = found[k]
        values[f"layer{k}.heads"] = found[depth + k]
    return values


def to_denas(config: Mapping[str, Any]) -> Candidate:
    """The candidate of the active values `config`."""
    layers = [f"layer{k}" for k in range(1, config["depth"] + 1)]
    return (
        config["depth"],
        *(config[f"{layer}.mlp_ratio"] for layer in layers),
        *(config[f"{layer}.heads"] for layer in layers),
        config["embedding"],
    )


def sample_denas(options: Mapping[str, Sequence[Any]], rng: random.Random) -> Candidate:
    """A candidate as DE-NAS draws it: depth, then all MLP ratios, all heads, and the embedding.

    `options` by variable. `random.Random(seed)` gives what the original gives after `random.seed(seed)`.
    """
    depth = rng.choice(options["depth"])
    layers = [f"layer{k}" for k in range(1, depth + 1)]
    ratios = [rng.choice(options[f"{layer}.mlp_ratio"]) for layer in layers]
    heads = [rng.choice(options[f"{layer}.heads"]) for layer in layers]
    return (depth, *ratios, *heads, rng.choice(options["embedding"]))


def _sequence(candidate: Sequence[float] | str) -> list[Any]:
    found: Any = candidate
    if isinstance(candidate, str):
        try:
            found = ast.literal_eval(candidate.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found = None
    return list(found) if isinstance(found, list | tuple) else []
