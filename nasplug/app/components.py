"""From a configuration to the parts of a run, and from a run's folder back to them."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasplug.app.checks.arguments import check_path
from nasplug.app.computed_costs import computed_costs
from nasplug.app.files.restoring import restore
from nasplug.app.files.stored_config import stored_config
from nasplug.app.files.trust import names_from
from nasplug.app.renamed_metrics import RenamedMetrics
from nasplug.app.run import Run, read_records
from nasplug.contracts.capabilities import ComputingEvaluator
from nasplug.contracts.errors import NasplugError
from nasplug.contracts.evaluator import Evaluator
from nasplug.contracts.executor import Executor
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.strategy import Problem, Strategy
from nasplug.contracts.task import Task
from nasplug.contracts.types import Constraint, Objective
from nasplug.engine.evaluator_chain import EvaluatorChain
from nasplug.engine.run_folder import CONFIG, fingerprint
from nasplug.plugins.building import accepts, build
from nasplug.plugins.choices import choices

log = logging.getLogger("nasplug")
MAIN = "main"
"""What `evaluator=NAME` is called among the evaluators of a run."""

WRAPPERS = ("move", "warmup")
"""The keys of what is put around a strategy, from the inside out, where its `proxy` is named."""


@dataclass(frozen=True)
class EvaluationComponents:
    """The parts that say what is measured."""

    space: SearchSpace
    task: Task | None
    evaluator: EvaluatorChain
    evaluators: Mapping[str, Evaluator]
    """Those of the chain by name, in its order."""


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
    _say_what_is_hidden(measuring, [*objectives, *plain["constraints"], *plain["also"]], plain)
    config = {
        "choices": plain["choices"],
        **nodes,
        "strategy": plain["strategy"],
        **{key: plain[key] for key in _wrappers(plain)},
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


def _wrappers(plain: Mapping[str, Any]) -> list[str]:
    """The keys of the wrappers that are asked for, from the inside out."""
    return [key for key in WRAPPERS if (plain.get(key) or {}).get("proxy")]


def _strategy(plain: dict[str, Any], measuring: EvaluationComponents) -> Strategy:
    """The strategy, in the wrappers that are asked for; each gets the evaluators that its
    constructor has a parameter for, by name."""
    strategy: Strategy = build(plain["strategy"])
    for key in _wrappers(plain):
        given = accepts(plain[key], **measuring.evaluators)
        for name in _needed(plain[key]) - {"strategy", *given}:
            raise NasplugError(f"{key} needs the evaluator {name}; add it: evaluators.{name}=NAME")
        strategy = build(plain[key], **{**given, "strategy": strategy})
    return strategy


def _needed(node: Mapping[str, Any]) -> set[str]:
    """The arguments without a default that the part of a node is not given by it."""
    from hydra.utils import get_object

    parameters = inspect.signature(get_object(node["_target_"])).parameters.values()
    return {p.name for p in parameters if p.default is p.empty and p.name not in node}


def measuring(cfg: Any) -> EvaluationComponents:
    """Build the space, the task and the evaluators of `cfg`, without a strategy."""
    from omegaconf import OmegaConf

    return _measuring(OmegaConf.to_container(cfg, resolve=True))[1]


def _measuring(plain: Any) -> tuple[dict[str, Any], EvaluationComponents]:
    space_node, task_node = dict(plain["space"]), plain.get("task")
    found = evaluator_nodes(plain)
    asked = [node for name, node in found.items() if name not in plain["measure_last"]]
    task = None
    if task_node and (
        "task" in plain["overridden_keys"] or any(accepts(n, task=None) for n in asked)
    ):
        task = build(task_node)
        for name, value in task.network_dimensions.items():
            if name in space_node and space_node[name] is None:
                space_node[name] = value
            elif space_node.get(name, value) != value:
                raise NasplugError(
                    f"the networks must fit the task, whose {name} is {value}, but space.{name} is "
                    f"{space_node[name]}; change the task's ({name} of task), and leave the space's out"
                )
    space = build(space_node)
    nodes = {"space": space_node, "task": task_node if task else None, "evaluators": found}
    evaluators = _evaluators(
        found, lambda node: build(node, **accepts(node, space=space, task=task))
    )
    chain = EvaluatorChain(tuple(evaluators.values()))
    return nodes, EvaluationComponents(space, task, chain, evaluators)


def evaluator_nodes(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluators of a configuration in the order in which they are asked: the main one, those
    that the user added, and those of `measure_last`."""
    others, last = plain.get("evaluators") or {}, plain["measure_last"]
    for name, node in others.items():
        if name == MAIN or not isinstance(node, Mapping) or "_target_" not in node:
            word = "evaluator=NAME" if name == MAIN else f"evaluators.{name}=NAME"
            known = ", ".join(choices("evaluator"))
            raise NasplugError(f"evaluators.{name} must be chosen: {word}, one of {known}")
    names = [n for n in others if n not in last] + [n for n in last if n in others]
    main = {MAIN: plain["evaluator"]} if plain.get("evaluator") else {}
    return main | {name: others[name] for name in names}


def _say_what_is_hidden(
    measuring: EvaluationComponents, names: Sequence[str], plain: Mapping[str, Any]
) -> None:
    """A metric that an evaluator of the user's knows, but that another one measures."""
    for name in dict.fromkeys(names):
        asked = [e for e, part in measuring.evaluators.items() if name in part.metrics]
        first = asked[0] if asked else ""
        for other in asked[1:]:
            same = _is_of_the_space(measuring.evaluators[other], name)
            if other not in plain["measure_last"] and not same:
                log.warning(
                    "%s is measured by %s, which comes first; evaluators.%s knows it too, and gives it "
                    "a name of its own with evaluators.%s.rename.%s=NAME",
                    name, "evaluator" if first == MAIN else f"evaluators.{first}", other, other, name,
                )  # fmt: skip


def _is_of_the_space(evaluator: Evaluator, name: str) -> bool:
    """Whether a metric is the same, whoever measures it, since the space computes it."""
    inner = evaluator.evaluator if isinstance(evaluator, RenamedMetrics) else evaluator
    return name in evaluator.closed_form and not isinstance(inner, ComputingEvaluator)


def _evaluators(
    nodes: Mapping[str, Any], make: Callable[[Mapping[str, Any]], Evaluator]
) -> dict[str, Evaluator]:
    """Each of them, made; `rename` beside an evaluator's own settings renames its metrics."""
    made: dict[str, Evaluator] = {}
    for name, node in nodes.items():
        renamed = node.get("rename") if isinstance(node, Mapping) else None
        if renamed is None:
            made[name] = make(node)
        else:
            own = {key: value for key, value in node.items() if key != "rename"}
            made[name] = RenamedMetrics(make(own), renamed)
    return made


def open_space(folder: Path, allow: Sequence[str] = ()) -> SearchSpace:
    """The space of the run in a folder alone; see `open_run`."""
    config, file = stored_config(folder), folder / CONFIG
    with names_from(file, allow):
        space: SearchSpace = restore(config["space"], SearchSpace, f"space of {file}")
    return space


def open_run(folder: str | Path, allow: Sequence[str] = ()) -> Run:
    """The run in a folder, as its ledger has it; a search may be at work in it meanwhile.

    Its config.yaml may name parts of installed plug-ins, and what is in one of the packages that
    `allow` names: `open_run("runs/mine", allow=["my_package"])`. Nothing else is imported.
    """
    check_path("folder", folder)
    folder = Path(folder)
    config = stored_config(folder)
    file = folder / CONFIG
    with names_from(file, allow):
        space = restore(config["space"], SearchSpace, f"space of {file}")
        task = config["task"] and restore(config["task"], Task, f"task of {file}")
        what = f"one of evaluators of {file}"
        nodes = config["evaluators"]
        if isinstance(nodes, list):  # of `nasplug.search`, whose evaluators have no names
            nodes = {str(i): node for i, node in enumerate(nodes)}
        evaluators = _evaluators(
            nodes, lambda node: restore(node, Evaluator, what, space=space, task=task)
        )
    chain = EvaluatorChain(tuple(evaluators.values()))
    objectives, constraints = config["objectives"], config["constraints"]
    columns = [*objectives, *constraints, *config["also"]]
    chain, known = chain.restrict(columns), chain.metrics
    problem = Problem(
        space,
        tuple(Objective(n, known[n].unit, known[n].direction) for n in objectives),
        tuple(Constraint(n, **limits) for n, limits in constraints.items()),
        task,
        config["seed"],
        chain.closed_form,
        computed=computed_costs(space, chain),
    )
    return Run(folder, problem, chain, read_records(folder, space, columns), columns)
