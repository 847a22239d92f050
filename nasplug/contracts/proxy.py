"""ZeroCostProxy: a score of an untrained network; Aggregator: one of several scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from nasplug.contracts.inputs import Inputs
from nasplug.contracts.probe import Probe
from nasplug.contracts.types import Archs, Failure, FloatArray

if TYPE_CHECKING:
    from torch import nn

    from nasplug.contracts.task import Task

Need = Literal[
    "gradients", "layers", "jacobian", "patterns", "reached", "blocks", "outputs", "loss", "classes"
]


class ZeroCostProxy(ABC):
    """Scores an untrained network in about one pass; higher is better.

    An author writes `score` and says, as class attributes, what network and what input it is to be
    given. The evaluator of proxies then builds that situation (weights, mode, precision, batch), makes
    one forward and backward pass for all proxies that agree on the situation, hands each a `Probe` of
    what was seen, and puts the network back as it was, bit for bit. A proxy may do with
    `probe.model` what it likes.

    Everything random comes from torch's global generator, which is seeded and put back around
    `score`: the same seed gives the same score, whatever was scored before or beside.

    >>> class GradNorm(ZeroCostProxy):
    ...     needs = ("gradients",)
    ...
    ...     def score(self, probe):
    ...         return sum(float(g.norm()) for g in probe.gradients)
    """

    needs: tuple[Need, ...] = ()
    """What the shared pass shall collect, each an attribute of the Probe:

    - gradients: of the task's loss, for every weight (implies loss);
    - layers: how much each channel of a convolution or linear layer moves the loss (implies loss);
    - jacobian: of the summed outputs, for every example's input;
    - patterns: which activation units are on, for every example;
    - reached: whether the outputs depend on each activation layer;
    - blocks: outputs of the building blocks, with their graph;
    - outputs: of the network;
    - loss: the task's loss is called by the proxy itself; nothing is collected;
    - classes: the examples' class labels.
    """

    input: Literal["data", "gaussian", "ones", "none"] = "data"
    """What the batch holds: examples of the task; or inputs shaped like `SearchSpace.example_inputs`
    that need no data (integer inputs, such as tokens, stay as they are there); or there is none."""

    samples: int | None = None
    """Examples in a batch; None for as many as the user says."""

    batches: int = 1
    """Different batches of data that it must see; the shared pass is on the first."""

    init: Literal["own", "normal", "kaiming"] = "own"
    """Weights of convolutions and linear layers: the network's own initialisation; N(0, 1); or
    N(0, 2 / inputs of a unit). The latter two have biases 0 and normalisation that scales by 1."""

    training: bool = True
    """Whether batch norm uses the batch's statistics; dropout is off either way."""

    normalisation: bool = True
    """False: batch, layer, group and instance norms are replaced by the identity."""

    double: bool = False
    """True: double precision."""

    @abstractmethod
    def score(self, probe: Probe) -> float:
        """The score of `probe.model`. Not finite: it has none. NasplugError: not covered, and why."""


class Aggregator(ABC):
    """Makes one score of several proxies' scores: a rank among networks, so it needs many of them.

    A choice of the group `proxy` like any other: as a metric, an architecture is ranked among a
    fixed sample of its space, so that its score does not depend on what is scored beside.
    """

    members: tuple[str, ...]
    """The choices of the group `proxy` that it combines."""

    @abstractmethod
    def combine(self, scores: FloatArray) -> FloatArray:
        """Scores of n networks, shape (n,), higher is better, from their members' scores, shape
        (n, m), a column a member, all finite."""


@runtime_checkable
class ProxyScorer(Protocol):
    """An evaluator that scores by zero-cost proxies: what wrappers of strategies, and the conformance
    suite of proxies, ask for scores. Order of calls: any."""

    def scores(self, archs: Archs, name: str) -> FloatArray:
        """Scores of a whole set by the installed proxy `name`, shape (n,), higher is better; NaN where
        there is none. An Aggregator ranks within the set."""

    def score_network(
        self,
        proxies: Mapping[str, ZeroCostProxy],
        network: nn.Module,
        example_inputs: Callable[[int], Inputs],
        task: Task | None,
        batch_size: int,
        seed: int,
    ) -> dict[str, float | Failure]:
        """The score of `network` by each of `proxies`, or why it has none; it stays as it was.

        `example_inputs` is a space's: inputs of any batch size. Batches are drawn by `seed`.
        """
