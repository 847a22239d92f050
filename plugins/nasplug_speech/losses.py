"""The losses of transcripts: CTC, attention, and both."""

from __future__ import annotations

import torch
from torch.nn import functional

from nasplug import NasplugError
from nasplug.toolkit.sequences.tokens import PADDING
from nasplug_speech.scoring import BLANK


def ctc(
    logits: torch.Tensor, lengths: torch.Tensor, after: torch.Tensor, strict: bool
) -> torch.Tensor:
    """Minus log p of the transcripts, nats, summed over the batch.

    logits (n, t, V), lengths (n,) in frames; after (n, u): tokens, END, PADDING. A recording with
    too few frames for its tokens has no path: it counts nothing, or is an error where `strict`.
    """
    targets = (after != PADDING).sum(1) - 1
    scores = logits.float().log_softmax(-1).transpose(0, 1)
    each = functional.ctc_loss(scores, after[:, :-1], lengths, targets, BLANK, "none")
    possible = each.isfinite()
    if strict and not bool(possible.all()):
        row = int((~possible).nonzero()[0, 0])
        raise NasplugError(
            f"a network must give at least as many frames as a transcript has tokens and repeats, but "
            f"gives {int(lengths[row])} for {int(targets[row])} tokens (or loses its numbers); take a "
            "network that shortens less, task.units=words, or a shorter task.hop"
        )
    return each.where(possible, torch.zeros_like(each)).sum()


def attention(logits: torch.Tensor, after: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy of the decoder's logits (n, u, V), nats, summed over tokens and END."""
    return functional.cross_entropy(
        logits.float().flatten(0, 1),
        after.flatten(),
        ignore_index=PADDING,
        label_smoothing=smoothing,
        reduction="sum",
    )


def soft(outputs: torch.Tensor, teacher: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Cross-entropy against the teacher's (n, t, V), the mean of the places where `inside` (n, t)."""
    return functional.cross_entropy(outputs[inside], teacher[inside].softmax(-1))
