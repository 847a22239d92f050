"""The task `interactions`: batches, negatives and ranking."""

import math

import numpy as np
import pytest
import torch
from nasplug_ncf.generated import generate
from nasplug_ncf.interactions import Interactions
from nasplug_ncf.ranking import hit_rate, ndcg, ranks
from nasplug_ncf.sampling import NegativeSampler
from nasplug_ncf.space import Ncf
from torch import nn

from nasplug import NasplugError, choices, make, seeded
from nasplug.testing import TaskContract


def tiny(**knobs) -> Interactions:
    return Interactions(**{"users": 40, "items": 120, "interactions": 400, **knobs})


class TestInteractions(TaskContract):
    @pytest.fixture
    def task(self):
        return tiny()

    @pytest.fixture
    def model(self, task):
        space = Ncf(**task.network_dimensions, widths=(4,), hidden=(4,), layers=1)
        with seeded(0):
            return space.build(space.smallest)


class Table(nn.Module):
    """Scores looked up in a table; few different values, so that ties are many."""

    def __init__(self, users, items, levels=7, seed=0):
        super().__init__()
        scores = np.random.default_rng(seed).integers(0, levels, (users, items))
        self.scores = nn.Parameter(torch.tensor(scores, dtype=torch.float32))

    def forward(self, users, items):
        return self.scores[users, items]


def slow_quality(scores, cases):
    """HR@10 and NDCG@10 by sorting, one case after another; `cases`: (user, item, candidates)."""
    hits = gains = 0.0
    for user, item, candidates in cases:
        order = sorted([(-scores[user][c], 0) for c in candidates] + [(-scores[user][item], 1)])
        place = [mark for _, mark in order].index(1)  # equal scores stand before the held-out item
        if place < 10:
            hits += 1
            gains += math.log(2) / math.log(place + 2)
    return {"hr10": hits / len(cases), "ndcg10": gains / len(cases)}


@pytest.mark.parametrize("levels", [2, 7, 1000])
def test_sampled_ranking_equals_a_slow_computation(levels):
    task = tiny(sampled=50, validation="test")
    table = Table(40, 120, levels)
    data = task.feedback
    cases = [
        (u, i, [c for c in row if c >= 0])
        for (u, i), row in zip(data.test.tolist(), task._candidates.tolist(), strict=True)
    ]
    assert all(len(set(c)) == 50 for _, _, c in cases)
    assert task.quality(table, task.metrics) == pytest.approx(
        slow_quality(table.scores.tolist(), cases), rel=1e-12
    )


@pytest.mark.parametrize("levels", [2, 7, 1000])
def test_full_ranking_equals_a_slow_computation(levels):
    task = tiny(candidates="full", validation="test")
    table = Table(40, 120, levels)
    data = task.feedback
    trained = {tuple(pair) for pair in data.train.tolist()}
    cases = [
        (u, i, [c for c in range(120) if c != i and (u, c) not in trained])
        for u, i in data.test.tolist()
    ]
    assert task.quality(table, task.metrics) == pytest.approx(
        slow_quality(table.scores.tolist(), cases), rel=1e-12
    )


@pytest.mark.parametrize("candidates", ["sampled", "full"])
@pytest.mark.parametrize("levels", [2, 1000])
def test_a_training_interaction_a_user_validates_and_the_held_out_one_tests(candidates, levels):
    task, published = tiny(candidates=candidates), tiny(candidates=candidates, validation="test")
    table, data = Table(40, 120, levels), task.feedback
    train, held = task._parts
    assert sorted(map(tuple, np.concatenate([train, held]))) == sorted(map(tuple, data.train))
    assert len(np.unique(held[:, 0])) == len(held)
    several = np.flatnonzero(np.bincount(data.train[:, 0]) > 1)
    assert sorted(held[:, 0]) == several.tolist() and len(several) > 30
    assert np.array_equal(np.unique(train[:, 0]), np.unique(data.train[:, 0]))
    assert task.test_quality(table, task.metrics) == published.quality(table, task.metrics)
    assert published.test_quality(table, task.metrics) == {}
    trained, known = ({tuple(p) for p in pairs.tolist()} for pairs in (train, data.train))
    drawn = dict(zip(held[:, 0].tolist(), task._validation_candidates.tolist(), strict=True))
    cases = [
        (u, i, [c for c in range(120) if c != i and (u, c) not in trained])
        if candidates == "full" else (u, i, [c for c in drawn[u] if c >= 0])
        for u, i in held.tolist()
    ]  # fmt: skip
    if candidates == "sampled":
        assert not known & {(u, c) for u, _, row in cases for c in row}
        assert all(len(set(row)) >= 50 for *_, row in cases)
    assert task.quality(table, task.metrics) == pytest.approx(
        slow_quality(table.scores.tolist(), cases), rel=1e-12
    )


def test_what_validates_is_not_trained_on_and_may_be_a_negative():
    task = tiny()
    train, held = task._parts
    liked, others = set(), set()
    for users, items, labels in task.train_batches(100, seed=0):
        pairs = list(zip(users.tolist(), items.tolist(), strict=True))
        liked |= {p for p, label in zip(pairs, labels.tolist(), strict=True) if label}
        others |= {p for p, label in zip(pairs, labels.tolist(), strict=True) if not label}
    assert liked == {tuple(p) for p in train.tolist()}
    held_out = {tuple(p) for p in held.tolist()}
    assert not liked & held_out and others & held_out
    assert task.steps_per_epoch(100, 0) == -(-len(train) // 20)
    assert task.data_fingerprint() != tiny(validation="test").data_fingerprint()
    assert np.array_equal(tiny()._parts[1], held) and not np.array_equal(
        tiny(data_seed=1)._parts[1], held
    )


def test_lastfm_equals_a_slow_computation(shared_data):
    prefix = shared_data / "ncf" / "lastfm"
    task = Interactions(path=str(prefix), validation="test")
    assert task.network_dimensions == {"users": 1741, "items": 2665}
    data = task.feedback
    assert (len(data.train), len(data.test), data.negatives.shape) == (67408, 1741, (1741, 99))
    popularity = np.bincount(data.train[:, 1], minlength=2665)
    table = Table(1741, 2665)
    table.scores.data = torch.tensor(popularity, dtype=torch.float32).expand(1741, -1)
    cases = []
    for line in prefix.with_name("lastfm.test.negative").read_text().splitlines():
        pair, *candidates = line.split("\t")
        user, item = map(int, pair.strip("()").split(","))
        cases.append((user, item, [c for c in map(int, candidates) if c != item]))
    assert sum(len(candidates) < 99 for _, _, candidates in cases) == 86  # name the held-out item
    quality = task.quality(table, task.metrics)
    assert quality == pytest.approx(slow_quality(table.scores.tolist(), cases), rel=1e-12)
    assert quality["hr10"] == pytest.approx(0.66, abs=0.02)


def test_a_network_that_scores_all_alike_gains_nothing():
    assert tiny().quality(Table(40, 120, levels=1), tiny().metrics) == {"hr10": 0.0, "ndcg10": 0.0}


def test_no_number_is_the_worst_score():
    rank = ranks(
        np.array([np.nan, 1.0]), np.array([[0.0, 0.0], [np.nan, 0.0]]), np.ones((2, 2), bool)
    )
    assert rank.tolist() == [3, 2]
    assert hit_rate(rank, 2) == 0.5 and ndcg(rank, 2) == pytest.approx(
        math.log(2) / math.log(3) / 2
    )


def test_an_epoch_shows_every_interaction_once_and_no_trained_item_as_a_negative():
    task = tiny(negatives=6, validation="test")
    data = task.feedback
    known = {tuple(p) for p in data.train.tolist()}
    for epoch in range(3):
        liked, others = [], []
        for users, items, labels in task.train_batches(100, seed=0, epoch=epoch):
            assert users.dtype == items.dtype == torch.int64 and labels.dtype == torch.float32
            assert len(users) <= 100
            pairs = torch.stack([users, items], dim=1)
            liked += map(tuple, pairs[labels == 1].tolist())
            others += map(tuple, pairs[labels == 0].tolist())
        assert sorted(liked) == sorted(map(tuple, data.train.tolist()))
        assert len(others) == 6 * len(liked)
        assert not known & set(others)
        assert np.array_equal(
            np.bincount([u for u, _ in others], minlength=40),
            6 * np.bincount(data.train[:, 0], minlength=40),
        )


def test_training_does_not_know_what_is_held_out():
    """He et al. exclude training pairs alone: a held-out item is a negative as often as any other."""
    task = tiny(negatives=6)
    data = task.feedback
    free = task.feedback.items - np.bincount(data.train[:, 0], minlength=data.users)
    shown = {tuple(p): 0 for p in data.test.tolist()}
    expected = 0.0
    for epoch in range(60):
        for users, items, labels in task.train_batches(4096, seed=0, epoch=epoch):
            others = labels == 0
            expected += float((1 / free[users[others].numpy()]).sum())
            for pair in zip(users[others].tolist(), items[others].tolist(), strict=True):
                if pair in shown:
                    shown[pair] += 1
    found = sum(shown.values())
    assert expected > 1000
    assert found == pytest.approx(expected, abs=5 * expected**0.5)


def test_drawn_candidates_are_neither_trained_nor_held_out():
    """A network that puts all trained items before the held-out one, and that before the rest, has
    every hit only if no candidate is a trained item."""
    task = tiny()
    known = np.concatenate([task.feedback.train, task.feedback.test])
    table = Table(40, 120)
    table.scores.data = torch.zeros(40, 120)
    table.scores.data[known[:, 0], known[:, 1]] = 1.0
    table.scores.data[task.feedback.test[:, 0], task.feedback.test[:, 1]] = 0.5
    assert task.quality(table, task.metrics)["hr10"] == 1.0


def test_negatives_are_uniform_over_all_other_items():
    known = np.array([[0, 0], [0, 1], [0, 5], [0, 9], [1, 3], [2, 0], [2, 0]])
    sampler = NegativeSampler(known, users=4, items=10)
    rng = np.random.default_rng(0)
    for user, mine in enumerate([{0, 1, 5, 9}, {3}, {0}, set()]):
        drawn = np.bincount(sampler.draw(np.full(60_000, user), rng), minlength=10)
        free = sorted(set(range(10)) - mine)
        assert set(np.flatnonzero(drawn)) == set(free)
        assert drawn[free] == pytest.approx(60_000 / len(free), rel=0.06)


def test_distinct_negatives_are_distinct_unknown_and_padded():
    known = np.array([[0, i] for i in range(8)] + [[1, 2]])
    found = NegativeSampler(known, 3, 10).distinct(
        np.array([0, 1, 2, 0]), 5, np.random.default_rng(0)
    )
    assert found.shape == (4, 5)
    for row in (found[0], found[3]):
        assert sorted(row) == [-1, -1, -1, 8, 9]
    assert len(set(found[1])) == len(set(found[2])) == 5 and 2 not in found[1]
    wide = NegativeSampler(known, 3, 10).distinct(np.array([2]), 12, np.random.default_rng(0))
    assert sorted(wide[0]) == [-1, -1, *range(10)]


def test_a_user_who_has_everything_is_an_error():
    sampler = NegativeSampler(np.array([[0, 0], [0, 1]]), 2, 2)
    with pytest.raises(NasplugError, match="user 0 has all 2 items"):
        sampler.draw(np.array([1, 0]), np.random.default_rng(0))


def test_the_generated_set_is_exact_skewed_and_repeatable():
    train, test = generate(300, 400, 6000, seed=1)
    assert len(train) == 5700 and test[:, 0].tolist() == list(range(300))
    pairs = np.concatenate([train, test])
    assert len(np.unique(pairs, axis=0)) == 6000
    assert pairs.min() == 0 and pairs[:, 1].max() < 400
    popular = np.sort(np.bincount(pairs[:, 1], minlength=400))[::-1]
    assert popular[:40].sum() > 3 * popular[200:240].sum()
    again, other = generate(300, 400, 6000, seed=1), generate(300, 400, 6000, seed=2)
    assert np.array_equal(again[0], train) and not np.array_equal(other[0], train)


def test_the_generated_set_says_so(caplog):
    with caplog.at_level("INFO"):
        task = tiny()
        assert "generated" in str(task.feedback)
    assert "generated set (no real data)" in caplog.text


def test_dims_of_the_generated_set_need_no_data():
    task = make("task", "interactions", users=70, items=80)
    assert task.network_dimensions == {"users": 70, "items": 80} and "feedback" not in vars(task)
    assert "interactions" in choices("task")


def test_soft_targets_are_probabilities():
    task = tiny()
    outputs, teacher = torch.tensor([0.3, -1.0]), torch.tensor([2.0, 0.0])
    share = teacher.sigmoid()
    expected = -(
        share * outputs.sigmoid().log() + (1 - share) * (1 - outputs.sigmoid()).log()
    ).mean()
    assert task.distillation(outputs, teacher) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"negatives": -1}, "negatives >= 0"),
        ({"sampled": 0}, "sampled >= 1"),
        ({"interactions": 79}, "2 \\* users <= interactions"),
        ({"interactions": 40 * 60 + 1}, "users \\* \\(items // 2\\)"),
    ],
)
def test_wrong_knobs(knobs, words):
    with pytest.raises(NasplugError, match=words):
        _ = tiny(**knobs).feedback
