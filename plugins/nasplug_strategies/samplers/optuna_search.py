"""OptunaSearch: Optuna's samplers as strategies."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, TPESampler
from optuna.trial import Trial as OptunaTrial
from optuna.trial import TrialState

from nasplug import NasplugError, NonNegativeInt, PositiveInt, Problem, Strategy, require_at_least
from nasplug.contracts.errors import unknown
from nasplug.contracts.types import Architecture, FloatArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug_strategies.candidate_scoring import best_first, draws
from nasplug_strategies.warm_start import warm_start_architectures

FIRST = 10
"""Architectures of a warm-up that are measured, where the sampler has no start-up trials of its own."""


@dataclass(frozen=True)
class SamplerSpec:
    """How to build a sampler from its settings and a seed, and what it can do.

    `ordered`: it sees options as whole numbers, so nearby indices should be nearby values; else as
    categories. `most`: objectives it can do.
    """

    build: Callable[..., BaseSampler]
    ordered: bool = False
    most: int | None = None
    constraints: bool = True
    settings: Mapping[str, float] = field(default_factory=dict)

    def can(self, problem: Problem) -> bool:
        """Whether it solves problems of this kind."""
        few = self.most is None or len(problem.objectives) <= self.most
        return few and (self.constraints or not problem.constraints)


SAMPLERS: dict[str, SamplerSpec] = {
    "tpe": SamplerSpec(TPESampler, settings={"n_startup_trials": 10, "n_ei_candidates": 24}),
    "gp": SamplerSpec(GPSampler, settings={"n_startup_trials": 10}),
    "cmaes": SamplerSpec(CmaEsSampler, ordered=True, most=1, constraints=False),
    "qmc": SamplerSpec(QMCSampler, ordered=True),
}


@final
class OptunaSearch(Strategy):
    """An Optuna study in memory, asked and told.

    A sampler often proposes what it proposed before: a repeat is answered at once with the values
    known, never measured again, and after `retries` of them a new neighbour of the last is taken
    instead, or a random architecture. Constraints are Optuna's own: feasible first. With a
    preference the sampler is asked for several, and the trials of all but the best-scored fail (gp takes
    seconds for each once it has enough to learn from).

    Args:
        sampler: "tpe" (Bergstra et al. 2011; several objectives: Ozaki et al. 2020), "gp" (Gaussian
            process), "cmaes" (one objective, no constraints) or "qmc" (Sobol sequence).
        batch: trials asked before the study is told.
        retries: how often the sampler is asked again after a repeat.
        settings: arguments of the sampler: `n_startup_trials` and `n_ei_candidates` of tpe,
            `n_startup_trials` of gp.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        sampler: str = "tpe",
        batch: PositiveInt = 1,
        retries: NonNegativeInt = 10,
        settings: Mapping[str, int] | None = None,
        warm_start: str | None = None,
    ) -> None:
        if sampler not in SAMPLERS:
            raise unknown("sampler", sampler, SAMPLERS)
        for name, value in (settings or {}).items():
            if name not in SAMPLERS[sampler].settings:
                raise unknown(f"setting of {sampler}", name, SAMPLERS[sampler].settings)
            require_at_least(f"{name} of {sampler}", value, 1)
        require_at_least("batch", batch, 1)
        require_at_least("retries", retries, 0)
        self.sampler = sampler
        self.batch = batch
        self.retries = retries
        self.settings = {**SAMPLERS[sampler].settings, **(settings or {})}
        self.warm_start = warm_start

    def setup(self, problem: Problem) -> None:
        """Start anew; an error if the sampler cannot do so many objectives, or constraints."""
        if not SAMPLERS[self.sampler].can(problem):
            n = len(problem.objectives)
            what = f"{n} objective{'s' * (n > 1)}" + " under constraints" * bool(
                problem.constraints
            )
            able = ", ".join(sorted(name for name, spec in SAMPLERS.items() if spec.can(problem)))
            raise NasplugError(
                f"{self.sampler} cannot search for {what}; of Optuna's samplers these can: {able}. "
                "Type e.g. +strategy=tpe"
            )
        most = int(self.settings.get("n_startup_trials", FIRST))
        self._ask_tell = AskTell(
            self._search(problem, warm_start_architectures(problem, self.warm_start, most)), problem
        )

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the batch, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """The study is told once the whole batch is."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture]) -> Search:
        rng = np.random.default_rng(problem.seed)
        study = _Study(problem, self._sampler(problem.seed), SAMPLERS[self.sampler].ordered)
        batch = [study.take(arch) for arch in first]
        while True:
            while len(batch) < self.batch and (new := self._new(problem, study, rng)):
                batch.append(new)
            values = yield [arch for arch, _ in batch]
            for (arch, trial), row in zip(batch, values, strict=True):
                study.tell(arch, trial, row)
            batch = []

    def _sampler(self, seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return SAMPLERS[self.sampler].build(seed=seed, **self.settings)

    def _new(
        self, problem: Problem, study: _Study, rng: np.random.Generator
    ) -> tuple[Architecture, OptunaTrial] | None:
        """The next to measure, the best-scored of several where there is a preference."""
        drawn: list[tuple[Architecture, OptunaTrial]] = []
        while len(drawn) < draws(problem.candidate_scorer) and (
            one := self._draw(problem, study, rng)
        ):
            drawn.append(one)
        if not drawn:
            return None
        best, *others = best_first(problem.candidate_scorer, [arch for arch, _ in drawn])
        for place in others:
            study.drop(*drawn[place])
        return drawn[best]

    def _draw(
        self, problem: Problem, study: _Study, rng: np.random.Generator
    ) -> tuple[Architecture, OptunaTrial] | None:
        """The sampler's next new architecture, or one nearby, or a random one; None: no more."""
        for _ in range(self.retries + 1):
            arch, trial = study.ask()
            if trial is not None:
                return arch, trial
        near = [a for a in problem.space.neighbours(arch) if a not in study.known]
        near = near or [tuple(a) for a in problem.space.sample(1, rng, study.known).tolist()]
        return study.take(near[int(rng.integers(len(near)))]) if near else None


@final
class _Study:
    """The Optuna study, in architectures and values; it remembers what was asked."""

    def __init__(self, problem: Problem, sampler: BaseSampler, ordered: bool) -> None:
        self.problem = problem
        self.known: dict[Architecture, FloatArray | None] = {}
        self.distributions: dict[str, BaseDistribution] = {
            v.name: IntDistribution(0, len(v.options) - 1)
            if ordered
            else CategoricalDistribution(range(len(v.options)))
            for v in problem.space.variables
        }
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self.study = optuna.create_study(
                sampler=sampler, directions=[o.direction for o in problem.objectives]
            )
        finally:
            optuna.logging.set_verbosity(verbosity)

    def ask(self) -> tuple[Architecture, OptunaTrial | None]:
        """The sampler's proposal, with its trial if it is new; else it was told what is known."""
        space = self.problem.space
        trial = self.study.ask(self.distributions)
        genes = [tuple(trial.params[v.name] for v in space.variables)]
        arch: Architecture = tuple(space.canonical(genes)[0].tolist())
        if space.is_valid([arch])[0] and arch not in self.known:
            self.known[arch] = None
            return arch, trial
        self.tell(arch, trial, self.known.get(arch))
        return arch, None

    def take(self, arch: Architecture) -> tuple[Architecture, OptunaTrial]:
        """A trial of this very architecture, a new one."""
        names = [v.name for v in self.problem.space.variables]
        self.study.enqueue_trial(dict(zip(names, arch, strict=True)))
        self.known[arch] = None
        return arch, self.study.ask(self.distributions)

    def drop(self, arch: Architecture, trial: OptunaTrial) -> None:
        """A trial that is not measured after all; its architecture may come again."""
        del self.known[arch]
        self.study.tell(trial, state=TrialState.FAIL)

    def tell(self, arch: Architecture, trial: OptunaTrial, row: FloatArray | None) -> None:
        """The values of a trial, shape (metrics,); None or NaN: it failed."""
        if arch in self.known and row is not None:
            self.known[arch] = row
        if row is None or np.isnan(row).any():
            self.study.tell(trial, state=TrialState.FAIL)
            return
        if self.problem.constraints:
            trial.set_constraint("violation", float(self.problem.violation(row[None])[0]))
        self.study.tell(trial, row[: len(self.problem.objectives)].tolist())
