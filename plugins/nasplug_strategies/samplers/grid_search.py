"""GridSearch: every architecture in turn, without holding the space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import gcd, prod
from typing import Literal, final

from nasplug import PositiveInt, Problem, SearchSpace, Strategy, require_at_least
from nasplug.contracts.errors import unknown
from nasplug.contracts.types import Architecture, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug_strategies.warm_start import warm_start_architectures


@final
class GridSearch(Strategy):
    """Walks the whole space; a budget below its size cuts the walk.

    It draws nothing, so a preference changes nothing; a warm-up comes before the walk.

    Args:
        order: "lexicographic": the last variable changes fastest, so a short walk stays in one
            corner; "spread": by golden-ratio strides through all combinations, so that any beginning
            of the walk is spread over the space.
        batch: how many may be measured at once.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        order: Literal["lexicographic", "spread"] = "lexicographic",
        batch: PositiveInt = 64,
        warm_start: str | None = None,
    ) -> None:
        if order not in WALKS:
            raise unknown("order", order, WALKS)
        require_at_least("batch", batch, 1)
        self.order: Literal["lexicographic", "spread"] = order
        self.batch = batch
        self.warm_start = warm_start

    def setup(self, problem: Problem) -> None:
        """Start anew."""
        self._ask_tell = AskTell(
            self._search(problem, warm_start_architectures(problem, self.warm_start)), problem
        )

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the batch, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """Nothing is learnt."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture]) -> Search:
        if first:
            yield first
        seen = set(first)
        walk = (arch for arch in WALKS[self.order](problem.space) if arch not in seen)
        while batch := list(islice(walk, self.batch)):
            yield batch


def lexicographic(space: SearchSpace) -> Iterator[Architecture]:
    """Every distinct valid architecture in lexicographic order; steps over inactive variables."""
    counts = [len(v.options) for v in space.variables]
    genes = [0] * len(counts)
    while True:
        arch = tuple(genes)
        if space.valid([arch]) == [arch]:
            yield arch
        on = space.active([arch])[0]
        turn = [j for j, k in enumerate(counts) if on[j] and genes[j] + 1 < k]
        if not turn:
            return
        genes[turn[-1]] += 1
        genes[turn[-1] + 1 :] = [0] * (len(counts) - turn[-1] - 1)


def spread(space: SearchSpace) -> Iterator[Architecture]:
    """Every distinct valid architecture once, each far from the one before."""
    counts = [len(v.options) for v in space.variables]
    total = prod(counts)
    stride = max(total * 618_034 // 1_000_000, 1)
    while gcd(stride, total) > 1:
        stride += 1
    seen: set[Architecture] = set()
    place = 0
    for _ in range(total):
        rest, genes = place, [0] * len(counts)
        for j in reversed(range(len(counts))):
            rest, genes[j] = divmod(rest, counts[j])
        for arch in space.valid([tuple(genes)]):
            if arch not in seen:
                seen.add(arch)
                yield arch
        place = (place + stride) % total


WALKS: dict[str, Callable[[SearchSpace], Iterator[Architecture]]] = {
    "lexicographic": lexicographic,
    "spread": spread,
}
