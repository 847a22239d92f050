"""Beam search: the most likely sequences that a network writes, many sentences at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from nasplug.toolkit.networks.nested import map_tensors
from nasplug.toolkit.sequences.encoder_decoder import as_encoder_decoder
from nasplug.toolkit.sequences.tokens import BEGIN, END, PADDING

NEVER = float("-inf")


@torch.no_grad()
def beam_search(
    network: nn.Module,
    source: torch.Tensor,
    beam: int = 5,
    length_penalty: float = 1.0,
    max_length: int | Sequence[int] = 200,
) -> list[list[int]]:
    """The best target of each sentence, as token ids without BEGIN and END.

    source: (n, s) int64 on the network's device, padded on the right with PADDING. max_length: the
    most tokens of a target, END not counted, of all or of each sentence; END is forced there.
    `network` is called as it stands; see `EncoderDecoder` for what makes it fast.

    A step keeps the `beam` best continuations that do not end; those among the `beam` best of all
    that end are finished, as in fairseq (Ott et al. 2019), and have the score

        sum log p / len ** length_penalty,

    len counting END. A sentence is done when `beam` hypotheses are finished and the best other one,
    scored as it stands, is not ahead of the best finished; or as soon as none can get there. Were it
    done with `beam` finished ones, as in fairseq, early ends that are all unlikely would do. `beam=1`
    is greedy decoding. PADDING and BEGIN are never written.

    >>> beam_search(network, torch.tensor([[5, 9, 2]]), beam=5)
    [[7, 7, 12]]
    """
    if not len(source):
        return []
    decoder = as_encoder_decoder(network)
    state = _Beams(source, beam, length_penalty, max_length)
    memory, cache = decoder.encode(source), None
    while len(state.sentences):
        logits, cache = decoder.decode(state.last, memory, cache)
        kept, rows = state.extend(logits)
        if kept is not None:
            memory = _rows(memory, kept)
        if rows is not None:
            cache = _rows(cache, rows)
    return state.results()


class _Beams:
    """The hypotheses of `a` sentences that are not done, `k` each (1 before the first step), and the
    best finished one of every sentence."""

    def __init__(
        self,
        source: torch.Tensor,
        beam: int,
        length_penalty: float,
        max_length: int | Sequence[int],
    ) -> None:
        n, device = len(source), source.device
        limits = [max_length] * n if isinstance(max_length, int) else list(max_length)
        self.beam, self.penalty, self.step = beam, length_penalty, 0
        self.limits = torch.tensor(limits, device=device)  # (a,)
        self.sentences = torch.arange(n, device=device)  # (a,): their places in `source`
        self.tokens = torch.full((n, 1, 1), BEGIN, device=device)  # (a, k, 1 + step)
        self.scores = torch.zeros(n, 1, device=device)  # (a, k): sum log p
        self.finished = torch.zeros(n, dtype=torch.int64, device=device)  # (a,)
        self.best = torch.full((n,), NEVER, device=device)
        self.targets = torch.zeros(n, max(limits), dtype=torch.int64, device=device)
        self.lengths = torch.zeros(n, dtype=torch.int64, device=device)

    @property
    def last(self) -> torch.Tensor:
        """The newest token of every hypothesis, (a, k)."""
        return self.tokens[:, :, -1]

    def extend(self, logits: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """One more token, by logits (a, k, V): which sentences stay, (b,), and which rows of the cache
        go on, (b * beam,); None where that is all, in the same order."""
        a, k, width = self.scores.shape[0], self.scores.shape[1], logits.shape[-1]
        scores = torch.log_softmax(logits.float(), dim=-1)
        scores[:, :, PADDING] = scores[:, :, BEGIN] = NEVER
        forced = self.limits <= self.step
        if bool(forced.any()):
            ends = scores[forced, :, END]
            scores[forced] = NEVER
            scores[forced, :, END] = ends
        dead = self.scores == NEVER  # where a vocabulary has fewer tokens than candidates are kept
        if bool(dead.any()):
            scores[dead] = NEVER
        scores = (scores + self.scores[:, :, None]).flatten(1)
        scores, places = scores.topk(min(2 * self.beam, k * width), dim=1)
        origin = torch.div(places, width, rounding_mode="floor")
        written = places - origin * width
        ends = (written == END) & (scores > NEVER)
        self._finish(scores, origin, ends)
        self.step += 1
        # of 2 * beam candidates at most `beam` end: those of each hypothesis are different tokens
        order = ends.to(torch.uint8).sort(dim=1, stable=True).indices[:, : self.beam]
        scores = scores.gather(1, order).masked_fill(ends.gather(1, order), NEVER)
        reachable = scores[:, 0] / (self.limits + 1).clamp(min=self.step + 1) ** self.penalty
        if self.penalty < 0:  # a short one is then the best that can come
            reachable = scores[:, 0] / (self.step + 1) ** self.penalty
        best = self.best[self.sentences]
        ahead = scores[:, 0] / self.step**self.penalty > best
        done = forced | ((self.finished >= self.beam) & ~ahead) | (best >= reachable)
        kept = torch.nonzero(~done)[:, 0]
        whole = len(kept) == a
        if not whole:
            order, scores, origin, written = (x[kept] for x in (order, scores, origin, written))
        origin, written = origin.gather(1, order), written.gather(1, order)
        rows = (kept[:, None] * k + origin).flatten()
        history = self.tokens.flatten(0, 1)[rows].view(len(kept), order.shape[1], self.step)
        self.tokens = torch.cat([history, written[:, :, None]], dim=2)
        self.scores = scores
        self.sentences, self.limits = self.sentences[kept], self.limits[kept]
        self.finished = self.finished[kept]
        same = len(rows) == a * k and torch.equal(rows, torch.arange(a * k, device=rows.device))
        return (None if whole else kept), (None if same else rows)

    def _finish(self, scores: torch.Tensor, origin: torch.Tensor, ends: torch.Tensor) -> None:
        """Count the candidates (a, c) that end among the first `beam`, and keep the best of each
        sentence: the first, since those of one step are of one length."""
        ends = ends[:, : self.beam]
        first = ends.to(torch.uint8).argmax(dim=1, keepdim=True)
        score = scores.gather(1, first)[:, 0] / (self.step + 1) ** self.penalty
        better = ends.any(dim=1) & (score > self.best[self.sentences])
        self.finished += ends.sum(dim=1)
        chosen = torch.nonzero(better)[:, 0]
        if not len(chosen):
            return
        places = self.sentences[chosen]
        self.best[places] = score[chosen]
        self.lengths[places] = self.step
        hypothesis = origin.gather(1, first)[chosen, 0]
        self.targets[places, : self.step] = self.tokens[chosen, hypothesis, 1:]

    def results(self) -> list[list[int]]:
        """The best target of every sentence; empty where the network gives no number at all."""
        lengths = self.lengths.tolist()
        return [row[:length] for row, length in zip(self.targets.tolist(), lengths, strict=True)]


def _rows(nested: Any, rows: torch.Tensor) -> Any:
    return map_tensors(lambda x: x.index_select(0, rows), nested)
