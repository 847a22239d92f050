"""Beam search against one that is written for clearness alone."""

import math

import pytest
import torch
from sequence_nets import Attending, Plain
from torch.nn import functional

from nasplug import seeded
from nasplug.toolkit.sequences.beam_search import beam_search
from nasplug.toolkit.sequences.encoder_decoder import EncoderDecoder, as_encoder_decoder
from nasplug.toolkit.sequences.tokens import BEGIN, END, PADDING


def network(seed, sharp=3.0, **sizes):
    with seeded(seed):
        made = Attending(**sizes).eval()
    made.head.weight.data *= sharp
    return made


def sources(seed, n=7, longest=6, vocabulary=11):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (n,), generator=generator)
    tokens = torch.randint(3, vocabulary, (n, longest), generator=generator)
    return tokens.masked_fill(torch.arange(longest) >= lengths[:, None], PADDING)


def log_probabilities(model, source, written):
    """Of every token after `written`; one sentence, no cache, no padding."""
    with torch.no_grad():
        target = torch.tensor([[BEGIN, *written]])
        logits = model(torch.tensor([[t for t in source if t != PADDING]]), target)[0, -1]
    return functional.log_softmax(logits, -1).tolist()


def slow_beam_search(model, source, beam, penalty, max_length):
    """One sentence; hypotheses are lists, and nothing ends early because it cannot be reached."""
    live, finished = [([], 0.0)], []
    while True:
        candidates = []
        for written, total in live:
            for token, value in enumerate(log_probabilities(model, source, written)):
                if token in (PADDING, BEGIN) or (len(written) == max_length and token != END):
                    continue
                candidates.append((total + value, written, token))
        candidates.sort(key=lambda c: -c[0])
        for total, written, token in candidates[:beam]:
            if token == END:
                finished.append((total / (len(written) + 1) ** penalty, written))
        live = [([*w, t], total) for total, w, t in candidates if t != END][:beam]
        best = max(finished, key=lambda f: f[0], default=None)
        if not live:
            return best[1]
        written, total = live[0]
        if len(finished) >= beam and best[0] >= total / len(written) ** penalty:
            return best[1]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("beam", "penalty"), [(1, 1.0), (3, 0.0), (4, 0.6), (5, 1.0), (2, 2.0), (3, -1.0)]
)
def test_equals_a_slow_one(seed, beam, penalty):
    model, batch = network(seed), sources(seed)
    expected = [slow_beam_search(model, row, beam, penalty, 12) for row in batch.tolist()]
    assert beam_search(model, batch, beam, penalty, 12) == expected


@pytest.mark.parametrize("seed", range(4))
def test_a_network_without_a_cache_gives_the_same(seed):
    model, batch = network(seed), sources(seed)
    assert isinstance(model, EncoderDecoder) and not isinstance(Plain(model), EncoderDecoder)
    assert beam_search(Plain(model), batch, 4, 1.0, 12) == beam_search(model, batch, 4, 1.0, 12)


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_one_is_greedy(seed):
    model, batch = network(seed), sources(seed)
    for row, found in zip(batch.tolist(), beam_search(model, batch, 1, 1.0, 12), strict=True):
        written = []
        while len(written) < 12:
            scores = log_probabilities(model, row, written)
            scores[PADDING] = scores[BEGIN] = -math.inf
            best = max(range(len(scores)), key=scores.__getitem__)
            if best == END:
                break
            written.append(best)
        assert found == written


def test_a_sentence_alone_and_in_a_batch_give_the_same():
    model, batch = network(1), sources(1, n=20)
    together = beam_search(model, batch, 4, 1.0, 12)
    lengths = [len(target) for target in together]
    assert len(set(lengths)) > 2, "sentences that are done at different times"
    for row, found in zip(batch, together, strict=True):
        alone = row[row != PADDING][None]
        assert beam_search(model, alone, 4, 1.0, 12) == [found]


def test_each_sentence_may_have_its_own_limit():
    model, batch = network(2), sources(2)
    model.head.bias.data[END] = -20.0  # ends only where it must
    limits = [0, 1, 2, 3, 9, 4, 5]
    found = beam_search(model, batch, 3, 1.0, limits)
    assert [len(target) for target in found] == limits
    assert found == [
        beam_search(model, batch[i : i + 1], 3, 1.0, limit)[0] for i, limit in enumerate(limits)
    ]


@pytest.mark.parametrize("vocabulary", [4, 5])
def test_more_beams_than_tokens(vocabulary):
    model = network(3, target_vocabulary=vocabulary)
    batch = sources(3)
    expected = [slow_beam_search(model, row, 6, 1.0, 5) for row in batch.tolist()]
    assert beam_search(model, batch, 6, 1.0, 5) == expected
    assert beam_search(Plain(model), batch, 6, 1.0, 5) == expected


def test_special_tokens_are_never_written_and_no_gradient_is_kept():
    model, batch = network(4), sources(4)
    model.head.bias.data[[PADDING, BEGIN]] = 30.0
    found = beam_search(model, batch, 4, 1.0, 12)
    assert not {PADDING, BEGIN, END} & {token for target in found for token in target}
    assert all(p.grad is None for p in model.parameters())


def test_nothing_and_a_network_that_gives_no_numbers():
    model = network(5)
    assert beam_search(model, torch.zeros(0, 4, dtype=torch.int64)) == []
    model.head.bias.data[:] = math.nan
    assert beam_search(model, sources(5), 3, 1.0, 6) == [[]] * 7


@pytest.mark.parametrize("cached", [True, False])
def test_logits_token_by_token_are_those_of_the_call(cached):
    model, batch = network(6), sources(6)
    decoder = as_encoder_decoder(model if cached else Plain(model))
    target = torch.randint(3, 9, (7, 5), generator=torch.Generator().manual_seed(0))
    memory, cache = decoder.encode(batch), None
    with torch.no_grad():
        expected = model(batch, target)
        for place in range(5):
            logits, cache = decoder.decode(target[:, place : place + 1], memory, cache)
            assert torch.allclose(logits[:, 0], expected[:, place], atol=1e-5)
