"""What a search can compute of an architecture without measuring it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nasplug.contracts.capabilities import ComputingEvaluator
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Archs, FloatArray
from nasplug.engine.evaluator_chain import EvaluatorChain


def computed_costs(
    space: SearchSpace, chain: EvaluatorChain
) -> Callable[[Archs], dict[str, FloatArray]] | None:
    """The costs of the space and those that evaluators compute themselves; None where no evaluator
    does. A metric that several know is that of the first, as in the chain."""
    if not any(isinstance(e, ComputingEvaluator) and e.closed_form for e in chain.evaluators):
        return None
    return partial(_costs, space, chain)


def _costs(space: SearchSpace, chain: EvaluatorChain, archs: Archs) -> dict[str, FloatArray]:
    costs, taken = dict(space.costs(archs)), set[str]()
    for evaluator in chain.evaluators:
        own = evaluator.costs(archs) if isinstance(evaluator, ComputingEvaluator) else {}
        costs |= {name: column for name, column in own.items() if name not in taken}
        taken |= evaluator.metrics.keys()
    return costs
