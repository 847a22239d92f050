"""DeScore: the parts as one, by rank and by the published sums."""

import numpy as np
import pytest
from nasplug_denas.score.de_score import PUBLISHED, DeScore
from proxy_parts import Images

import nasplug
from nasplug import NasplugError
from nasplug.contracts.types import full_trials

SCORES = np.array([[3.0, 1.0], [2.0, 5.0], [1.0, 4.0], [4.0, 6.0]])


def test_by_default_it_is_the_mean_rank_of_expressivity_and_nuclear_diversity():
    part = DeScore()
    assert part.members == ("de_expressivity", "de_diversity")
    assert part.combine(SCORES).tolist() == [0.5, 0.625, 0.375, 1.0]
    assert part.combine(SCORES * [1000, 0.001] + 7).tolist() == [0.5, 0.625, 0.375, 1.0]


def test_weights_count_and_a_part_of_weight_0_is_not_computed():
    assert DeScore(expressivity_weight=0).members == ("de_diversity",)
    assert DeScore(complexity_weight=0.5).members[1] == "de_ntk"
    heavy = DeScore(expressivity_weight=9).combine(SCORES)
    assert heavy[0] > heavy[1]  # 3 before 2 in the first column outweighs the second
    with pytest.raises(NasplugError, match="must have a weight above 0"):
        DeScore(expressivity_weight=0, diversity_weight=0)


@pytest.mark.parametrize("domain", PUBLISHED)
def test_members_of_the_published_sums(domain):
    expected = {"cnn": ("de_expressivity", "de_ntk", "de_saliency")}
    transformers = ("de_diversity_frobenius", "de_saliency")
    assert DeScore("legacy", domain).members == expected.get(domain, transformers)


def test_the_published_sums_by_hand():
    """Parts are logarithms, expressivity is one in the original too, and ntk minus one."""
    cnn = DeScore("legacy", "cnn").combine(np.array([[3.58, -np.log(2.56), np.log(162.7)]]))
    assert cnn == pytest.approx(3.58 / 162.7 - 2.56)
    assert cnn == pytest.approx(-2.54, abs=0.005)  # what the original's seed network has
    pair = np.log([[300.0, 4.0]])
    assert DeScore("legacy", "vit").combine(pair) == pytest.approx(304)
    assert DeScore("legacy", "bert").combine(pair) == pytest.approx(4.003)
    assert DeScore("legacy", "bert", diversity_weight=1).combine(pair) == pytest.approx(304)


def test_the_published_sum_without_saliency_is_finite():
    """The original divides by 0 there."""
    part = DeScore("legacy", "cnn", saliency_weight=0)
    assert part.members == ("de_expressivity", "de_ntk")
    assert part.combine(np.array([[3.0, -np.log(2.0)]])) == pytest.approx(1)
    alone = DeScore("legacy", "cnn", expressivity_weight=0, saliency_weight=0)
    assert alone.combine(np.array([[-np.log(2.0)]])) == pytest.approx(-2)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, 0),
        ({}, 1),
        ({"formula": "legacy", "domain": "cnn"}, 0),
        ({"formula": "legacy", "domain": "cnn"}, 1),
        ({"formula": "legacy"}, 0),
        ({"formula": "legacy"}, 1),
    ],
)
def test_more_of_a_part_never_lowers_the_score(options, part):
    """Of saliency in the published sum for CNNs it does: there it is a divisor."""
    aggregator = DeScore(**options)
    scores = np.random.default_rng(0).normal(size=(6, len(aggregator.members)))
    more = scores.copy()
    more[2, part] += 1
    assert aggregator.combine(more)[2] >= aggregator.combine(scores)[2]


def test_unknown_words_are_answered():
    with pytest.raises(NasplugError, match="unknown domain 'vitt'; did you mean vit"):
        DeScore(domain="vitt")
    with pytest.raises(NasplugError, match="unknown formula 'ranks'; did you mean rank"):
        DeScore("ranks")


def test_it_is_a_metric_of_the_evaluator_of_proxies():
    proxies = nasplug.make(
        "evaluator", "proxies", space=Images(), population=4, cache="memory", device="cpu"
    )
    small, large = proxies.evaluate(full_trials([(0, 0), (1, 2)]), ["de_score"])
    assert 0 < small.values["de_score"] < large.values["de_score"] <= 1
