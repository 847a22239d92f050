"""The measured Pareto set of a search, kept while records arrive."""

from __future__ import annotations

from typing import final

import numpy as np

from nasplug.contracts.strategy import Problem
from nasplug.contracts.types import FloatArray, IntArray
from nasplug.engine.records import RecordTable
from nasplug.toolkit.searching import pareto


@final
class Front:
    """The fully measured rows of `table` that are feasible and that no other such row betters.

    `update` before reading: it holds what has arrived since against the present front only. Of rows
    with equal values, the one that was asked for first is on the front.
    """

    def __init__(self, problem: Problem, table: RecordTable) -> None:
        self._problem, self._table, self._seen = problem, table, 0
        self.rows: IntArray = np.zeros(0, np.int64)
        """In the order asked."""

        self.losses: FloatArray = np.zeros((0, len(problem.objectives)))
        """The objectives of `rows`, all to be minimised, shape (n, objectives)."""

        self.changes = 0
        """How often the front has changed: tells whether what was made of it is still right."""

    def update(self) -> None:
        """Take in what has arrived."""
        new = np.arange(self._seen, len(self._table))
        values = metric_values(self._problem, self._table, new)
        losses = self._problem.losses(values)
        full = self._table.fidelities(new) == 1
        good = full & np.isfinite(losses).all(axis=1) & (self._problem.violation(values) == 0)
        self._seen = len(self._table)
        if not good.any():
            return
        rows = np.concatenate([self.rows, new[good]])
        losses = np.concatenate([self.losses, losses[good]])
        order = np.argsort(self._table.numbers(rows))
        rows, losses = rows[order], losses[order]
        best = pareto.nondominated(losses)
        if not np.array_equal(rows[best], self.rows):
            self.rows, self.losses, self.changes = rows[best], losses[best], self.changes + 1


def metric_values(problem: Problem, table: RecordTable, rows: IntArray) -> FloatArray:
    """The values of `rows` as `Problem` has them, shape (n, len(problem.metrics)); NaN rows failed."""
    columns = [table.values(name, rows) for name in problem.metrics]
    return np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0))
