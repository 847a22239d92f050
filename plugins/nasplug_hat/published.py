"""Architectures in the notations of HAT's configurations and of DyNAS-T's genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasplug import NasplugError

SUFFIX = "-subtransformer"
WIDTHS = {
    "encoder.embedding": "encoder-embed-dim",
    "decoder.embedding": "decoder-embed-dim",
    "encoder.layers": "encoder-layer-num",
    "decoder.layers": "decoder-layer-num",
}
LISTS = {
    "encoder.layer{}.ffn": "encoder-ffn-embed-dim-all",
    "decoder.layer{}.ffn": "decoder-ffn-embed-dim-all",
    "encoder.layer{}.heads": "encoder-self-attention-heads-all",
    "decoder.layer{}.self_attention.heads": "decoder-self-attention-heads-all",
    "decoder.layer{}.cross_attention.heads": "decoder-ende-attention-heads-all",
    "decoder.layer{}.encoder_layers": "decoder-arbitrary-ende-attn-all",
}
ATTENDED = {1: -1, 2: 1, 3: 2}
"""How many of the last encoder layers are attended to, and HAT's number for it."""
LAYERS = 6
GENES = (
    *("encoder.embedding", "decoder.embedding"),
    *(f"encoder.layer{k}.ffn" for k in range(1, LAYERS + 1)),
    *(f"decoder.layer{k}.ffn" for k in range(1, LAYERS + 1)),
    "decoder.layers",
    *(f"encoder.layer{k}.heads" for k in range(1, LAYERS + 1)),
    *(f"decoder.layer{k}.self_attention.heads" for k in range(1, LAYERS + 1)),
    *(f"decoder.layer{k}.cross_attention.heads" for k in range(1, LAYERS + 1)),
    *(f"decoder.layer{k}.encoder_layers" for k in range(1, LAYERS + 1)),
)
"""DyNAS-T's order; an encoder of 6 layers is no gene there."""


def from_hat(config: Mapping[str, Any] | str) -> dict[str, Any]:
    """Values by variable from a configuration, YAML text or read.

    Keys that say nothing of the architecture are passed over; of lists that are longer than a depth
    the further entries are not used.
    """
    given = {str(key).replace("_", "-"): value for key, value in _mapping(config).items()}
    found = {name: _needed(given, key) for name, key in WIDTHS.items()}
    for pattern, key in LISTS.items():
        side = "encoder.layers" if pattern.startswith("encoder") else "decoder.layers"
        depth, values = found[side], _needed(given, key)
        if not isinstance(depth, int) or not isinstance(values, list) or len(values) < depth:
            raise NasplugError(
                f"{key}{SUFFIX} must be a list with an entry for each of the {depth} layers, but got {values}"
            )
        back = {hat: own for own, hat in ATTENDED.items()}
        for number, value in enumerate(values[:depth], 1):
            name = pattern.format(number)
            found[name] = back.get(value, value) if "arbitrary" in key else value
    return found


def to_hat(config: Mapping[str, Any]) -> dict[str, Any]:
    """The original's configuration of the active values `config`."""
    written: dict[str, Any] = {key + SUFFIX: config[name] for name, key in WIDTHS.items()}
    for pattern, key in LISTS.items():
        side = "encoder.layers" if pattern.startswith("encoder") else "decoder.layers"
        values = [config[pattern.format(k)] for k in range(1, config[side] + 1)]
        if "arbitrary" in key:
            values = [ATTENDED.get(value, value) for value in values]
        written[key + SUFFIX] = values
    return written


def from_dynas(genes: Sequence[int], options: Mapping[str, Any]) -> dict[str, Any]:
    """Values by variable of 39 indices of options."""
    if len(genes) != len(GENES):
        raise NasplugError(
            f"DyNAS-T's transformers must have {len(GENES)} genes, but got {len(genes)}"
        )
    found: dict[str, Any] = {}
    for name, gene in zip(GENES, genes, strict=True):
        choices = _of_dynas(options, name)
        if not isinstance(gene, int) or not 0 <= gene < len(choices):
            raise NasplugError(
                f"gene {len(found)} ({name}) must be 0 to {len(choices) - 1}, but got {gene!r}"
            )
        found[name] = choices[gene]
    return found


def to_dynas(config: Mapping[str, Any], options: Mapping[str, Any]) -> list[int]:
    """The 39 indices; 0 where a layer is left out."""
    return [_of_dynas(options, name).index(config[name]) if name in config else 0 for name in GENES]


def _of_dynas(options: Mapping[str, Any], name: str) -> Sequence[Any]:
    if name not in options:
        raise NasplugError(
            f"DyNAS-T's genes describe encoders and decoders of up to {LAYERS} layers, but this space has "
            f"no {name}; take space=hat_wmt14ende"
        )
    found: Sequence[Any] = options[name]
    return found


def _mapping(config: Mapping[str, Any] | str) -> Mapping[str, Any]:
    if isinstance(config, str):
        import yaml

        try:
            config = yaml.safe_load(config)
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())
            raise NasplugError(f"a configuration of HAT must be YAML, but: {reason:.150}") from None
    if not isinstance(config, Mapping):
        raise NasplugError(f"a configuration of HAT must be a mapping, but got {config!r:.80}")
    return config


def _needed(given: Mapping[str, Any], key: str) -> Any:
    if key + SUFFIX not in given:
        raise NasplugError(
            f"a configuration of HAT must have {key}{SUFFIX}, but has {sorted(given)}"
        )
    return given[key + SUFFIX]
