"""From a configuration to the parts of a run, and from a run's folder back to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasplug.app.run import Run, read_records
from nasplug.contracts.errors import NasplugError
from nasplug.contracts.evaluator import Evaluator
from nasplug.contracts.executor import Executor
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.strategy import Problem, Strategy
from nasplug.contracts.task import Task
from nasplug.contracts.types import Constraint, Objective
from nasplug.engine.evaluator_chain import EvaluatorChain
from nasplug.engine.run_folder import fingerprint, load_config
from nasplug.plugins.building import accepts, build

CHAIN = ("evaluator", "costs", "proxies")
"""The keys of the configuration that make the chain of evaluators, first things first."""

WRAPPERS = ("move", "warmup")
"""The keys of what is put around a strategy, from the inside out, where its `proxy` is named."""


@dataclass(frozen=True)
class EvaluationComponents:
    """The parts that say what is measured."""

    space: SearchSpace
    task: Task | None
    evaluator: EvaluatorChain


@dataclass(frozen=True)
class SearchComponents:
    """Everything that `nasplug.search` takes."""

    space: SearchSpace
    task: Task | None
    evaluator: EvaluatorChain
    strategy: Strategy
    executor: Executor
    objectives: list[str]
    constraints: dict[str, Any]
    folder: Path
    config: dict[str, Any]


def assemble(cfg: Any) -> SearchComponents:
    """Build what a search needs from the composed configuration `cfg`."""
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    nodes, measuring = _measuring(plain)
    strategy, executor = _strategy(plain, measuring), build(plain["executor"])
    metrics = measuring.evaluator.metrics
    objectives = plain["objectives"] or [next(iter(metrics)), "macs"]
    if isinstance(objectives, str):
        objectives = [objectives]
    config = {
        "choices": plain["choices"],
        **nodes,
        "strategy": plain["strategy"],
        **{key: plain[key] for key in WRAPPERS if plain[key]["proxy"]},
        "objectives": objectives,
        "constraints": plain["constraints"],
        "also": plain["also"],
        "seed": plain["seed"],
        "budget": plain["budget"],
        "executor": plain["executor"],
    }
    chosen = plain["choices"]
    name = f"{chosen['space']}-{chosen['strategy']}-seed{plain['seed']}-{fingerprint(config)}"
    return SearchComponents(
        measuring.space,
        measuring.task,
        measuring.evaluator,
        strategy,
        executor,
        objectives,
        plain["constraints"],
        Path(plain["run"] or Path("runs") / name),
        config,
    )


def _strategy(plain: dict[str, Any], measuring: EvaluationComponents) -> Strategy:
    """The strategy, in the wrappers that are asked for."""
    strategy: Strategy = build(plain["strategy"])
    proxies = measuring.evaluator.evaluators[CHAIN.index("proxies")]
    for key in WRAPPERS:
        if plain[key]["proxy"]:
            strategy = build(plain[key], strategy=strategy, proxies=proxies)
    return strategy


def measuring(cfg: Any) -> EvaluationComponents:
    """Build the space, the task and the evaluators of `cfg`, without a strategy."""
    from omegaconf import OmegaConf

    return _measuring(OmegaConf.to_container(cfg, resolve=True))[1]


def _measuring(plain: Any) -> tuple[dict[str, Any], EvaluationComponents]:
    space_node, task_node = dict(plain["space"]), plain["task"]
    task = None
    if accepts(plain["evaluator"], task=None) or "task" in plain["named"]:
        task = build(task_node)
        for name, value in task.dims.items():
            if name in space_node and space_node[name] is None:
                space_node[name] = value
            elif space_node.get(name, value) != value:
                raise NasplugError(
                    f"the networks must fit the task, whose {name} is {value}, but space.{name} is "
                    f"{space_node[name]}; change the task's ({name} of task), and leave the space's out"
                )
    space = build(space_node)
    chain = [plain[key] for key in CHAIN]
    nodes = {"space": space_node, "task": task_node if task else None, "evaluators": chain}
    return nodes, EvaluationComponents(space, task, _chain(chain, space, task))


def _chain(nodes: Sequence[Any], space: SearchSpace, task: Task | None) -> EvaluatorChain:
    evaluators: list[Evaluator] = []
    for node in nodes:
        evaluators.append(build(node, **accepts(node, space=space, task=task)))
    return EvaluatorChain(evaluators)


def open_run(folder: str | Path) -> Run:
    """The run in a folder, as its ledger has it; a search may be at work in it meanwhile."""
    folder = Path(folder)
    config = load_config(folder)
    space = build(config["space"])
    task = build(config["task"]) if config["task"] else None
    chain = _chain(config["evaluators"], space, task)
    objectives, constraints = config["objectives"], config["constraints"]
    columns = [*objectives, *constraints, *config["also"]]
    chain, known = chain.restrict(columns), chain.metrics
    problem = Problem(
        space,
        tuple(Objective(n, known[n].unit, known[n].direction) for n in objectives),
        tuple(Constraint(n, **limits) for n, limits in constraints.items()),
        task,
        config["seed"],
        chain.computed,
    )
    return Run(folder, problem, chain, read_records(folder, space, columns), columns)
