"""The evaluator of untrained networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from nasplug import (
    Evaluator,
    Failure,
    Measurement,
    Metric,
    NasplugError,
    NonNegativeInt,
    PositiveInt,
    Range,
    SearchSpace,
    Task,
    ZeroCostProxy,
    choices,
    make,
    progress,
    unknown,
)
from nasplug.contracts.inputs import Inputs
from nasplug.contracts.proxy import Aggregator
from nasplug.contracts.types import Architecture, Archs, FloatArray, Outcome, Trial
from nasplug.toolkit.system.cache import cache_folder
from nasplug_proxies.scoring.score_cache import ScoreCache, what_is

if TYPE_CHECKING:
    from torch import nn

    from nasplug_proxies.scoring.repeats import Score, Scorer

SIZES = ("params", "flops")
"""Proxies that are costs too: as scores, larger is better; as metrics of a search, smaller is."""

MANY = 200
"""Scoring so many networks shows progress; fewer, such as the candidates of a move, do not."""


@cache
def _installed(name: str) -> ZeroCostProxy | Aggregator:
    """A choice with its own settings; composing one takes longer than many a score."""
    part: ZeroCostProxy | Aggregator = make("proxy", name)
    return part


class Proxies(Evaluator):
    """Every installed choice of the group `proxy` is a metric, by its own name.

    An architecture's network is built with weights of `seed` and scored on batches of `batch_size`;
    proxies that are wanted together share their passes. With `repeats`, scores are means over as
    many weights and batches, and the std is their standard deviation.

    An aggregator ranks an architecture among `population` random ones of the space, always the same,
    which are scored when one is first wanted; `scores` ranks within a given set instead, as
    published. `options` are settings of single proxies, e.g. `{"zen": {"samples": 32}}`.

    The scores of sets and populations are kept in the folder `cache`, by default the user's, unless it
    is "memory": each network is scored once, and what was interrupted goes on where it stopped.
    """

    def __init__(
        self,
        space: SearchSpace,
        task: Task | None = None,
        batch_size: Annotated[int, Range(ge=2)] = 64,
        repeats: PositiveInt = 1,
        population: Annotated[int, Range(ge=2)] = 64,
        seed: NonNegativeInt = 0,
        device: str = "auto",
        options: dict[str, Any] | None = None,
        cache: str | None = None,
    ) -> None:
        self.space = space
        self.task = task
        self.batch_size = batch_size
        self.repeats = repeats
        self.population = population
        self.seed = seed
        self.device = device
        self.options = options
        self.cache = cache
        self._caches: dict[str, ScoreCache] = {}
        self._parts: dict[str, ZeroCostProxy | Aggregator] = {}
        self._references: dict[tuple[str, ...], FloatArray] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made again where it is needed."""
        return {k: v for k, v in vars(self).items() if k != "_scorer"} | {
            "_parts": {},
            "_caches": {},
        }

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Scores have no unit, and larger is better; params and flops are costs."""
        return {
            name: Metric("", "minimize" if name in SIZES else "maximize")
            for name in choices("proxy")
        }

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """Score `names`; an architecture that one of them cannot score is a Failure that says why."""
        archs = [trial.arch for trial in trials]
        parts, proxies = self._assembled(names)
        references = {
            name: self._reference(part.members)
            for name, part in parts.items()
            if isinstance(part, Aggregator)
        }
        return [self._outcome(arch, parts, proxies, references) for arch in archs]

    def scores(self, archs: Archs, name: str) -> FloatArray:
        """Scores of a whole set, shape (n,), higher is better (sizes too); NaN where there is none.
        An aggregator ranks within the set."""
        parts, proxies = self._assembled([name])
        rows = [tuple(map(int, arch)) for arch in archs]
        table, part = self._table(rows, proxies), parts[name]
        if not isinstance(part, Aggregator):
            return table[:, 0]
        found = np.full(len(table), np.nan)
        scored = ~np.isnan(table).any(axis=1)
        found[scored] = part.combine(table[scored])
        return found

    def score_network(
        self,
        proxies: Mapping[str, ZeroCostProxy],
        network: nn.Module,
        example_inputs: Callable[[int], Inputs],
        task: Task | None,
        batch_size: int,
        seed: int,
    ) -> dict[str, float | Failure]:
        """The score of `network` by each of `proxies`, or why it has none; it stays as it was."""
        from nasplug_proxies.scoring.batches import ProxyBatches
        from nasplug_proxies.scoring.scoring import scores

        return scores(proxies, network, ProxyBatches(example_inputs, task, batch_size, seed))

    @cached_property
    def _scorer(self) -> Scorer:
        from nasplug_proxies.scoring.repeats import (
            Scorer,  # torch is loaded when something is scored
        )

        return Scorer(self.space, self.task, self.batch_size, self.repeats, self.seed, self.device)

    @cached_property
    def _data(self) -> str | None:
        """What tells the task's data from others of the same settings."""
        return None if self.task is None else self.task.data_fingerprint()

    def _assembled(
        self, names: Sequence[str]
    ) -> tuple[dict[str, ZeroCostProxy | Aggregator], dict[str, ZeroCostProxy]]:
        """The parts that `names` name, and all proxies that they need, members of aggregators too."""
        parts = {name: self._part(name) for name in names}
        proxies: dict[str, ZeroCostProxy] = {}
        for name, part in parts.items():
            for member in part.members if isinstance(part, Aggregator) else (name,):
                proxy = self._part(member)
                if isinstance(proxy, Aggregator):
                    raise NasplugError(
                        f"the members of {name} must score single networks, but {member} aggregates"
                    )
                proxies[member] = proxy
        self._scorer.check(proxies)
        return parts, proxies

    def _part(self, name: str) -> ZeroCostProxy | Aggregator:
        if name not in self._parts:
            options = self.options or {}
            if wrong := sorted(set(options) - set(self.metrics)):
                raise unknown("proxy", wrong[0], self.metrics)
            mine = options.get(name)
            self._parts[name] = make("proxy", name, **mine) if mine else _installed(name)
        return self._parts[name]

    def _reference(self, members: tuple[str, ...]) -> FloatArray:
        if members not in self._references:
            rng = np.random.default_rng(self.seed)
            archs = self.space.valid(self.space.sample(self.population, rng))
            table = self._table(archs, self._assembled(members)[1])
            self._references[members] = table[~np.isnan(table).any(axis=1)]
        return self._references[members]

    def _table(
        self, archs: Sequence[Architecture], proxies: dict[str, ZeroCostProxy]
    ) -> FloatArray:
        """Scores of shape (n, proxies), NaN where there is none; only what is new is computed."""
        books = {name: self._cache_of(name) for name in proxies}
        new = dict.fromkeys(a for a in archs if any(a not in book for book in books.values()))
        many = len(new) >= MANY
        shown = progress(f"scoring {', '.join(proxies)}", len(new)) if many else nullcontext()
        with shown as bar:
            for arch in new:
                missing = {name: p for name, p in proxies.items() if arch not in books[name]}
                for name, score in self._scorer.score(arch, missing).items():
                    books[name].add(arch, np.nan if isinstance(score, Failure) else score[0])
                if bar:
                    bar.advance()
        rows = [[book[arch] for book in books.values()] for arch in archs]
        return np.array(rows, float).reshape(len(archs), len(proxies))

    def _cache_of(self, name: str) -> ScoreCache:
        if name not in self._caches:
            folder = cache_folder("scores", self.cache)
            situation = {
                "proxy": what_is(self._part(name)),
                "space": what_is(self.space),
                "task": self.task and what_is(self.task),
                "data": self._data,
                "batch_size": self.batch_size,
                "repeats": self.repeats,
                "seed": self.seed,
                "device": self.device,
            }
            self._caches[name] = ScoreCache(None if self.cache == "memory" else folder, situation)
        return self._caches[name]

    def _outcome(
        self,
        arch: Architecture,
        parts: dict[str, ZeroCostProxy | Aggregator],
        proxies: dict[str, ZeroCostProxy],
        references: dict[str, FloatArray],
    ) -> Outcome:
        start = time.perf_counter()
        scored: dict[str, Score] = {}
        for name, score in self._scorer.score(arch, proxies).items():
            if isinstance(score, Failure):
                return Failure(score.error, time.perf_counter() - start)
            scored[name] = score
        values, std = {}, {}
        for name, part in parts.items():
            if isinstance(part, Aggregator):
                mine = [scored[member][0] for member in part.members]
                values[name] = float(part.combine(np.vstack([references[name], mine]))[-1])
            else:
                values[name], deviation = scored[name]
                if self.repeats > 1:
                    std[name] = deviation
        return Measurement(values, time.perf_counter() - start, std)
