"""Hearing: from features to text, free-running, as a network is used."""

from __future__ import annotations

from typing import Any, cast, final

import torch
from torch import nn

from nasplug import NasplugError
from nasplug.toolkit.sequences.beam_search import beam_search
from nasplug.toolkit.sequences.tokens import BEGIN
from nasplug_speech.scoring import ctc_greedy

FRAMES_A_TOKEN = 4
"""A recording has at most one token in so many frames, and five more."""


@torch.no_grad()
def hear(
    network: nn.Module, features: torch.Tensor, frames: torch.Tensor, beam: int | None
) -> list[list[int]]:
    """Token ids of each recording, features (n, t, bands) and frames (n,) on the network's device.

    beam: hypotheses of the attention decoder; None: greedy CTC. No token of a transcript is given.
    """
    if beam is not None:
        limits = (frames // FRAMES_A_TOKEN + 5).tolist()
        rows = torch.arange(len(features), device=features.device)[:, None]
        listening = cast(nn.Module, Listening(network, features, frames))
        return beam_search(listening, rows, beam, 1.0, limits)
    begin = torch.full((len(features), 1), BEGIN, device=features.device)
    logits, lengths, *_ = checked(network(features, frames, begin))
    return ctc_greedy(logits.float(), lengths)


def checked(outputs: Any) -> tuple[torch.Tensor, ...]:
    """The outputs of a network for transcripts; an error where they are something else."""
    if isinstance(outputs, tuple | list) and len(outputs) >= 2 and outputs[0].ndim == 3:
        return tuple(outputs)
    raise NasplugError(
        "a network for transcripts must give (logits (n, t, V), frames (n,)), and (n, u, V) of its "
        f"decoder if it has one, but gave {type(outputs).__name__}; of a network that gives a label a "
        "recording, type task.answers=labels"
    )


@final
class Listening:
    """A speech network as an `EncoderDecoder` of recordings by their places, (n, 1)."""

    def __init__(self, network: Any, features: torch.Tensor, frames: torch.Tensor) -> None:
        if not hasattr(network, "encode") or not hasattr(network, "decode"):
            raise NasplugError(
                "task.decoding=attention needs a network with a decoder (encode and decode); type "
                "task.decoding=ctc"
            )
        self.network, self.features, self.frames = network, features, frames

    def encode(self, source: torch.Tensor) -> Any:
        """What the decoder reads."""
        rows = source[:, 0]
        return self.network.encode(self.features[rows], self.frames[rows])

    def decode(self, tokens: torch.Tensor, memory: Any, cache: Any) -> tuple[torch.Tensor, Any]:
        """One more token for each hypothesis."""
        logits, kept = self.network.decode(tokens, memory, cache)
        return logits, kept
