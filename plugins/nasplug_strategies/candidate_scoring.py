"""Which of several candidates to propose, by the cheap score of the problem's preference.

Without a preference nothing is scored, and no random number is drawn more than before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from nasplug import CandidateScorer, Problem
from nasplug.contracts.types import Architecture, FloatArray


def draws(candidate_scorer: CandidateScorer | None) -> int:
    """How many candidates to draw for one that is proposed."""
    return candidate_scorer.candidates if candidate_scorer else 1


def best_first(
    candidate_scorer: CandidateScorer | None, archs: Sequence[Architecture]
) -> list[int]:
    """The places of `archs` in the order to propose them: best-scored first, the unscored last; as
    they are where scores are equal, or there is no preference."""
    if candidate_scorer is None or not archs:
        return list(range(len(archs)))
    return [int(place) for place in np.argsort(-_scores(candidate_scorer, archs), kind="stable")]


def sampled(
    problem: Problem, n: int, rng: np.random.Generator, seen: Collection[Architecture] = ()
) -> list[Architecture]:
    """`n` random architectures outside `seen`, each the best-scored of as many as the preference
    says; fewer where the space has fewer."""
    drawn = problem.space.sample(n * draws(problem.candidate_scorer), rng, seen)
    return best_of_groups(problem.candidate_scorer, [tuple(row) for row in drawn.tolist()], n)


def best_of_groups(
    candidate_scorer: CandidateScorer | None, archs: Sequence[Architecture], n: int
) -> list[Architecture]:
    """`n` of `archs`, which stand in order; fewer if there are fewer.

    With k = `candidate_scorer.candidates`, the first n * k candidates are split into n interleaved groups
    (i, i + n, i + 2n, ..), and the best-scored of each is kept. Without a preference: the first `n`.
    """
    archs = list(archs[: n * draws(candidate_scorer)])
    if candidate_scorer is None or not archs:
        return archs
    scores = _scores(candidate_scorer, archs)
    groups = (np.arange(i, len(archs), n) for i in range(min(n, len(archs))))
    return [archs[group[np.argmax(scores[group])]] for group in groups]


def _scores(candidate_scorer: CandidateScorer, archs: Sequence[Architecture]) -> FloatArray:
    """Shape (n,), -inf where there is none."""
    scores = np.asarray(candidate_scorer.score(archs), float)
    return np.where(np.isnan(scores), -np.inf, scores)
