"""Application: what an exported network does for its user, from inputs to answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class Application(ABC):
    """Puts an exported network to use: makes inputs ready, calls it, and writes what it answers.

    A task names one as `deployment_info()["application"] = {"_target_": ..}`, with settings beside.
    `nasplug.load` makes it with `network`, in evaluation mode on the CPU, and `info`, the whole
    deployment info as it was exported, where its constructor has such parameters, and lends its
    `methods` to the network: `nasplug.load(folder).predict(inputs)`. `info` may come from a
    stranger's file: check what is used of it.
    """

    methods: tuple[str, ...] = ("predict",)
    """Names of methods that the network is lent."""

    @abstractmethod
    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """An answer for each of `inputs`, as JSON holds it (text, numbers, lists, mappings)."""
