"""Parts whose validation and test data are known to differ."""

import os

from light import LightEvaluator, LightSpace, LightStrategy

from nasplug import NasplugError, search

FLATTERY = 10.0
"""By how much `good` looks better on the validation data."""


class PlantedEvaluator(LightEvaluator):
    """`good` is by FLATTERY lower on test data; `asked` are the architectures that were tested.

    `wrong` is what goes wrong there: "all", "one" or "numbers"; the process dies at the `dies_at`-th.
    Neither is part of its configuration.
    """

    wrong, dies_at = "", 0

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, ...]] = []

    def test_quality(self, arch, names):
        self.asked.append(arch)
        if self.dies_at == len(self.asked):
            os._exit(9)
        if self.wrong == "all":
            raise NasplugError("nobody may be tested")
        if self.wrong == "one" and len(self.asked) == 2:
            raise RuntimeError("out of\nmemory")
        if self.wrong == "numbers":
            return {"good": float("nan"), "unknown": 1.0}
        (outcome,) = [self._one(arch, ["good"])]
        return {"good": outcome.values["good"] - FLATTERY}


def planted(**more) -> PlantedEvaluator:
    """One of which something is wrong."""
    evaluator = PlantedEvaluator()
    vars(evaluator).update(more)
    return evaluator


def find(folder, budget=30, evaluator=None, **more):
    part = evaluator or PlantedEvaluator()
    return search(LightSpace(), part, LightStrategy(), ["good", "slow"], budget, run=folder, **more)
