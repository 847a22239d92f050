"""A search on predicted values, which costs no measurements."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from nasplug.contracts.strategy import Problem, Strategy
from nasplug.contracts.types import FloatArray, IntArray

Predict = Callable[[IntArray], FloatArray]
"""Architectures (n, v) to their predicted values, shape (n, len(problem.metrics))."""


def search_on_predictions(
    problem: Problem,
    inner: Strategy,
    predict: Predict,
    evaluations: int,
    seed: int,
    advance: Callable[[int], object] = lambda done: None,
) -> tuple[IntArray, FloatArray]:
    """Let `inner` search `problem` as if `predict` measured, for `evaluations` predictions.

    Returns every architecture that it asked for, in order, shape (k, v), and its predicted values,
    (k, metrics); fewer than `evaluations` where the space holds fewer. `inner` is set up anew with
    `seed` and the budget `evaluations`, without the problem's first architectures and preference.
    `advance` is called after each batch with the number predicted.

    >>> archs, values = search_on_predictions(problem, NSGA2(), model, 20_000, seed=1)
    """
    inner.setup(
        replace(
            problem, seed=seed, initial_architectures=(), candidate_scorer=None, budget=evaluations
        )
    )
    archs = [np.empty((0, len(problem.space.variables)), np.int64)]
    values = [np.empty((0, len(problem.metrics)))]
    left = evaluations
    with _uncollected():
        while left > 0:
            asked = list(inner.ask(left))[:left]
            if not asked:
                break
            archs.append(np.array([trial.arch for trial in asked], np.int64))
            values.append(predict(archs[-1]))
            inner.tell(problem.results(asked, values[-1]))
            left -= len(asked)
            advance(len(asked))
    return np.concatenate(archs), np.concatenate(values)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Within it nobody looks for circles of garbage: among ten thousands of results, none of which is
    in one, that took most of the time that making them did."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
