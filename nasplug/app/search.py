"""`nasplug.search`: a whole search, from parts to a front."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nasplug.app.checks.arguments import check_search
from nasplug.app.checks.fit import check_fit
from nasplug.app.checks.limits import Feasibility, check_reachable
from nasplug.app.computed_costs import computed_costs
from nasplug.app.crash_recovery import CrashRecovery
from nasplug.app.run import Run
from nasplug.app.terminal import announce
from nasplug.app.tested import add_test_figures
from nasplug.app.watcher import Watcher
from nasplug.contracts.errors import NasplugError, unknown
from nasplug.contracts.evaluator import Evaluator
from nasplug.contracts.executor import Executor
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.strategy import Problem, Strategy
from nasplug.contracts.task import Task
from nasplug.contracts.types import Constraint, Objective
from nasplug.engine.evaluator_chain import EvaluatorChain
from nasplug.engine.executors.serial import Serial
from nasplug.engine.ledger import Ledger
from nasplug.engine.loop import loop
from nasplug.engine.run_folder import (
    DATA,
    FIRST_BUDGET,
    STUDY,
    first_budget,
    load_config,
    lock_folder,
    save_or_verify_config,
)
from nasplug.engine.safe_evaluation import SafeEvaluation
from nasplug.plugins.building import make
from nasplug.plugins.choices import choices
from nasplug.plugins.describing import describe
from nasplug.plugins.discovery import plugins
from nasplug.toolkit.system.progress import progress
from nasplug.toolkit.system.script_guard import exit_if_only_imported

log = logging.getLogger("nasplug")
ISOLATING = "processes"
"""The choice of executor in which an architecture that ended a search is measured again."""


def search(
    space: SearchSpace,
    evaluator: Evaluator | Sequence[Evaluator],
    strategy: Strategy,
    objectives: Sequence[str] | None = None,
    budget: int = 100,
    *,
    constraints: Mapping[str, Mapping[str, float]] | None = None,
    also: Sequence[str] = (),
    task: Task | None = None,
    seed: int = 0,
    executor: Executor | None = None,
    run: str | Path | None = None,
    storage: str | None = None,
    config: Mapping[str, Any] | None = None,
    test: bool = True,
) -> Run:
    """Measure `budget` architectures of `space` that `strategy` proposes; return what was found.

    `evaluator` may be several: the first that knows a metric measures it. `objectives` are metric
    names, by default the first evaluator's main metric and `macs`; `constraints` map a metric to
    {"min": .., "max": ..}; `also` names metrics that are only recorded. `run` is the folder that
    results go to, and are resumed from; without one they stay in memory. `config` is what the
    folder's config.yaml says of the parts, by default what `describe` reads from them. With `test`,
    what is on the front at the end is measured on the task's test data too, if it has any: no search
    sees these figures, which the front has as METRIC_test.

    >>> space = nasplug.make("space", "ofa_mbv3", num_classes=10, in_channels=1, image_size=32)
    >>> costs = nasplug.make("evaluator", "costs", space=space)
    >>> search(space, costs, nasplug.make("strategy", "random"), ["macs", "params"], 20).front()
    """
    exit_if_only_imported()
    check_search(locals())
    chain = evaluator if isinstance(evaluator, EvaluatorChain) else _chain(evaluator)
    names = tuple(objectives or (next(iter(chain.metrics)), "macs"))
    goals = _objectives(names, chain)
    limits = _constraints(constraints or {}, chain)
    columns = tuple(dict.fromkeys((*names, *(c.name for c in limits), *also)))
    chain = chain.restrict(columns)
    folder = Path(run) if run is not None else None
    planned = first_budget(folder, budget)
    problem = Problem(
        space, goals, limits, task, seed, chain.closed_form,
        budget=planned, computed=computed_costs(space, chain),
    )  # fmt: skip
    check_reachable(problem, chain.metrics)
    strategy.setup(problem)
    needed = task if not set(columns) <= set(chain.closed_form) else None
    config = {**(config or _describe(locals())), FIRST_BUDGET: planned}

    with ExitStack() as stack:
        study = None
        if folder is not None:
            stack.enter_context(lock_folder(folder))
            shared = storage is not None and storage != "memory"
            name = {STUDY: folder.resolve().name} if shared else {}
            data = {DATA: needed.data_fingerprint()} if needed else {}
            save_or_verify_config(folder, {**config, **name, **data})
            study = load_config(folder).get(STUDY)
        ledger = Ledger(folder, space, goals, storage, study)
        stack.callback(ledger.close)
        result = Run(folder, problem, chain, ledger.table, columns)
        announce(problem, columns, budget, config, folder)
        workers = executor or Serial()
        if folder is not None and not workers.survives:
            workers = CrashRecovery(workers, folder, _process_of_its_own)
        stack.callback(workers.close)
        stack.callback(_write, result)
        if len(ledger):
            log.info("%d architectures are already in %s", len(ledger), folder)
        feasibility = Feasibility(problem, ledger.table)
        if len(ledger) < budget:
            if needed is not None:
                check_fit(space, needed)
            chain.prepare()
        try:
            with progress("searching", budget) as bar:
                watcher = Watcher(result, bar, budget, feasibility)
                safe = SafeEvaluation(chain, columns)
                loop(strategy, problem, ledger, safe, workers, budget, watcher)
                watcher.finish()
            result.plot_front()
            if test:
                result.write()  # what was found is there to be read, whatever the tests take
                add_test_figures(result)
        except OSError as error:
            raise NasplugError(
                f"{folder} must be writable, but: {error.strerror or error}. What was measured before "
                "is safe; make room and run the same again"
            ) from error
    feasibility.conclude()
    plugins().hook.nasplug_finished(run=result)
    return result


def _process_of_its_own() -> Executor | None:
    """What measures in one process beside this one; None where no such executor is installed."""
    if ISOLATING not in choices("executor"):
        return None
    executor: Executor = make("executor", ISOLATING, workers=1)
    return executor


def _write(run: Run) -> None:
    """The last rewrite, also on the way out of an error, which it must not hide."""
    try:
        run.write()
    except OSError as error:
        log.error("%s could not be rewritten: %s", run.folder, error.strerror or error)


def _chain(evaluator: Evaluator | Sequence[Evaluator]) -> EvaluatorChain:
    return EvaluatorChain([evaluator] if isinstance(evaluator, Evaluator) else evaluator)


def _objectives(names: Sequence[str], chain: EvaluatorChain) -> tuple[Objective, ...]:
    known = chain.metrics
    if len(set(names)) < len(names):
        raise NasplugError(f"objectives must differ, but got {list(names)}")
    for name in names:
        if name not in known:
            raise unknown("objective", name, known)
    return tuple(Objective(n, known[n].unit, known[n].direction) for n in names)


def _constraints(
    limits: Mapping[str, Mapping[str, float]], chain: EvaluatorChain
) -> tuple[Constraint, ...]:
    for name in limits:
        if name not in chain.metrics:
            raise unknown("constraint", name, chain.metrics)
    return tuple(
        Constraint(name, **{side: float(value) for side, value in limit.items()})
        for name, limit in limits.items()
    )


def _describe(arguments: Mapping[str, Any]) -> dict[str, Any]:
    chain, task = arguments["chain"], arguments["task"]
    return {
        "space": describe(arguments["space"]),
        "task": task and describe(task),
        "evaluators": [describe(e) for e in chain.evaluators],
        "strategy": describe(arguments["strategy"]),
        "objectives": list(arguments["names"]),
        "constraints": {k: dict(v) for k, v in (arguments["constraints"] or {}).items()},
        "also": list(arguments["also"]),
        "seed": arguments["seed"],
        "budget": arguments["budget"],
    }
