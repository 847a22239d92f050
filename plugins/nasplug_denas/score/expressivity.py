"""Expressivity: how far the features move when the input does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, final

import torch
from torch import nn

from nasplug import PositiveFloat, Range, ZeroCostProxy
from nasplug.contracts.probe import Probe
from nasplug_denas.score.features import features
from nasplug_denas.score.layers import is_transformer, weighted_layers
from nasplug_denas.score.passes import Draws, Passes, batch_norms, draw_weights


@final
class Expressivity(ZeroCostProxy):
    """log E sum|f(x) - f(x + alpha e)| + sum over batch norms of log sqrt(mean variance): the Gaussian
    complexity of Lin et al., "Zen-NAS" (ICCV 2021), algorithm 1, as the EXP of DE-NAS should be, which
    left the second term out, so that batch norm took away most of the signal.

    f are the last features before the head: of convolutional networks the last map before pooling,
    with N(0, 1) weights and batch norms that use the batch's statistics; of transformers the tokens
    before the last norm, with the weights that the network has. x and e are gaussian; of tokens their
    embeddings are drawn and moved.

    Args:
        samples: examples of a batch.
        alpha: how far an input moves, in its standard deviations.
        batch_norm_term: put back the scale that batch norm takes out.
        weights: the network's own; normal: N(0, 1); auto: own for transformers, else normal.
        input: what the batch holds: gaussian, or examples of the task.
    """

    training = False
    double = True

    def __init__(
        self,
        samples: Annotated[int, Range(ge=2)] = 16,
        alpha: PositiveFloat = 0.01,
        batch_norm_term: bool = True,
        weights: Literal["auto", "own", "normal"] = "auto",
        input: Literal["gaussian", "data"] = "gaussian",
    ) -> None:
        self.samples = samples
        self.alpha = alpha
        self.batch_norm_term = batch_norm_term
        self.weights = weights
        self.input = input

    @torch.no_grad()
    def score(self, probe: Probe) -> float:
        """Two forward passes."""
        model, layers, draws = probe.model, weighted_layers(probe.model), Draws()
        transformer = is_transformer(layers)
        if self.weights == "normal" or (self.weights == "auto" and not transformer):
            draw_weights(model, layers, draws)
        for norm in batch_norms(model):
            norm.train()
        passes = Passes(model, probe.inputs, layers, self.input, draws)
        with _variances(model) as variances:
            here = features(model, passes, transformer)
        near = features(model, lambda: passes(distance=self.alpha), transformer)
        passes.check()
        change = (here - near).abs().flatten(1).sum(1).mean()
        scale = sum(float(0.5 * v.log()) for v in variances if v > 0)
        return float(change.log()) + (scale if self.batch_norm_term else 0.0)


@contextmanager
def _variances(model: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Within it, each batch norm that runs adds the mean over channels of its input's variance."""
    found: list[torch.Tensor] = []

    def note(module: nn.Module, args: Any) -> None:
        found.append(args[0].transpose(0, 1).flatten(1).var(1).mean())

    hooks = [m.register_forward_pre_hook(note) for m in batch_norms(model)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
