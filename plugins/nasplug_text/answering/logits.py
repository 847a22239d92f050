"""The logits of an answer's first and last token, whatever structure a network gives them in."""

from __future__ import annotations

from typing import Any

import torch

from nasplug import NasplugError
from nasplug.toolkit.networks.nested import main_output, named_tensors

HIDDEN = -1e4
"""The logit of a token that takes no part; half precision holds it too."""


def span_logits(outputs: Any) -> torch.Tensor:
    """Logits (n, t, 2) of a network's outputs: a tensor, or a structure with `start_logits` and
    `end_logits`, (n, t) each, or `logits`. NasplugError where they are of another shape."""
    found = dict(named_tensors(outputs))
    if {"start_logits", "end_logits"} <= set(found):
        return torch.stack([found["start_logits"], found["end_logits"]], -1)
    logits = main_output(outputs)
    if logits is None or logits.ndim != 3 or logits.shape[-1] != 2:
        shape = None if logits is None else tuple(logits.shape)
        raise NasplugError(
            f"a network of task=question_answering must give logits of shape (texts, tokens, 2), but gave "
            f"{shape}"
        )
    return logits
