"""How large a first, random sample is, given the budget of the whole search."""

from __future__ import annotations

import logging
from typing import final

log = logging.getLogger(__name__)

LEAST = 4
"""The smallest population that is chosen."""


def population_for(budget: int | None, published: int, part: int) -> int:
    """The population for `budget` measurements, where the user gave none.

    min(published, max(4, budget // part)): the `published` size from part * published measurements
    on, or where the budget is unknown (None).
    """
    if budget is None:
        return published
    return min(published, max(LEAST, budget // part))


@final
class SampleSize:
    """Says in one line what follows from the size of a first, random sample; each line once.

    A strategy keeps one, and calls `announce` when it is set up: also an inner strategy, which is set
    up in every round.
    """

    def __init__(self) -> None:
        self._said: set[str] = set()

    def announce(
        self, name: str, knob: str, size: int, budget: int | None, published: int | None = None
    ) -> None:
        """`name` of a strategy measures `size` at random first, its setting `knob`; `published`: the
        size of the paper's experiments, where `size` was chosen from the budget."""
        if budget is None:
            return
        if budget <= size:
            self._say(
                logging.WARNING,
                f"{name} measures {size} at random first, and the budget is {budget}: this is random "
                f"search; lower {knob}, or raise the budget",
            )
        elif published is not None and size < published:
            self._say(
                logging.INFO,
                f"{name}: {knob}={size}, chosen from the budget of {budget}; the published setting is "
                f"{published}",
            )

    def _say(self, level: int, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            log.log(level, line)
