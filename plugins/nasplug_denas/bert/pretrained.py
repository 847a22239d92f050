"""The weights of a pretrained BERT, of which a smaller one takes the leading part."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from nasplug import NasplugError

log = logging.getLogger(__name__)

WEIGHTS, CONFIG = "model.safetensors", "config.json"

NAMES = (
    (r"token_embedding", "embeddings.word_embeddings"),
    (r"position_embedding", "embeddings.position_embeddings"),
    (r"type_embedding", "embeddings.token_type_embeddings"),
    (r"norm", "embeddings.LayerNorm"),
    (r"encoder\.(\d+)\.attention\.q_proj", r"encoder.layer.\1.attention.self.query"),
    (r"encoder\.(\d+)\.attention\.k_proj", r"encoder.layer.\1.attention.self.key"),
    (r"encoder\.(\d+)\.attention\.v_proj", r"encoder.layer.\1.attention.self.value"),
    (r"encoder\.(\d+)\.attention\.out_proj", r"encoder.layer.\1.attention.output.dense"),
    (r"encoder\.(\d+)\.norms\.0", r"encoder.layer.\1.attention.output.LayerNorm"),
    (r"encoder\.(\d+)\.mlp\.fc1", r"encoder.layer.\1.intermediate.dense"),
    (r"encoder\.(\d+)\.mlp\.fc2", r"encoder.layer.\1.output.dense"),
    (r"encoder\.(\d+)\.norms\.1", r"encoder.layer.\1.output.LayerNorm"),
    (r"head\.pooler", "pooler.dense"),
)
"""Our modules' names as patterns, and what Hugging Face calls them."""
OLD = {"weight": "gamma", "bias": "beta"}
"""What the parameters of layer norms were called in early files."""


@torch.no_grad()
def load(network: nn.Module, path: str, head_dim: int) -> None:
    """Give `network` the leading part of every tensor of the pretrained BERT in the folder `path`, as
    Hugging Face saves one: model.safetensors and config.json, whatever head it has.

    The first layers, of each the leading heads of `head_dim` channels, and of every axis the leading
    channels. What the file has no tensor for (the head; the pooler, where it lacks it) stays as it is.
    NasplugError where the file is none, smaller than the network, or of another kind of network.
    """
    folder = Path(path).expanduser()
    _check(folder, head_dim)
    fresh = []
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            known = {name.removeprefix("bert."): name for name in file.keys()}  # noqa: SIM118
            for name, parameter in network.named_parameters():
                found = next((known[n] for n in _their(name) if n in known), None)
                if found is not None:
                    parameter.copy_(_leading(file.get_slice(found), parameter, found, folder))
                elif name.startswith("head."):
                    fresh.append(name)
                else:
                    raise NasplugError(
                        f"{folder / WEIGHTS} must have {next(_their(name))}, but it lacks it: it must be a "
                        "BERT of at least as many layers as the largest of space.layers"
                    )
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise NasplugError(f"{folder / WEIGHTS} must be readable, but: {reason:.150}") from None
    log.info("pretrained weights of %s; fresh ones: %s", folder, ", ".join(fresh))


def _their(name: str) -> Iterator[str]:
    """What Hugging Face calls the parameter `name`, or called it; nothing where BERT has none such."""
    module, _, own = name.rpartition(".")
    for ours, theirs in NAMES:
        if re.fullmatch(ours, module):
            other = re.sub(ours, theirs, module)
            yield f"{other}.{own}"
            if other.endswith("LayerNorm"):
                yield f"{other}.{OLD[own]}"


def _leading(stored: Any, parameter: torch.Tensor, name: str, folder: Path) -> torch.Tensor:
    """The leading part of a tensor of the file, of the shape of `parameter`."""
    shape, wanted = tuple(stored.get_shape()), tuple(parameter.shape)
    if name.endswith("word_embeddings.weight") and shape[0] != wanted[0]:
        raise NasplugError(
            f"the task's vocabulary must be that of the pretrained network, {shape[0]} tokens, but has "
            f"{wanted[0]}; type task.vocabulary={folder} (its tokenizer.json or vocab.txt)"
        )
    if len(shape) != len(wanted) or any(s < w for s, w in zip(shape, wanted, strict=True)):
        raise NasplugError(
            f"the pretrained network must be at least as large as each of the space's, but its {name} is "
            f"{shape} and {wanted} is needed; lower the options of the space, or task.max_length"
        )
    part: torch.Tensor = stored[tuple(slice(0, size) for size in wanted)]
    return part.to(parameter.dtype)


def _check(folder: Path, head_dim: int) -> None:
    """The folder is that of a BERT with heads of `head_dim` channels."""
    missing = [name for name in (WEIGHTS, CONFIG) if not (folder / name).is_file()]
    if missing:
        raise NasplugError(
            f"space.pretrained must be a folder with {WEIGHTS} and {CONFIG}, as Hugging Face's "
            f"save_pretrained writes them, but {folder} has no {' and no '.join(missing)}"
        )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind, act = config.get("model_type", "bert"), config.get("hidden_act", "gelu")
        places = config.get("position_embedding_type", "absolute")
        size = config["hidden_size"] / config["num_attention_heads"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise NasplugError(
            f"{folder / CONFIG} must be the configuration of a BERT, but: "
            f"{' '.join(str(error).split()):.100}"
        ) from None
    if (kind, act, places) != ("bert", "gelu", "absolute"):
        raise NasplugError(
            f"{folder} must be a BERT with gelu and absolute positions, but is {kind}, {act}, {places}"
        )
    if size != head_dim:
        raise NasplugError(
            f"heads must have as many channels as the pretrained network's, {size:g}, but space.head_dim "
            f"is {head_dim}; type space.head_dim={size:g}"
        )
