"""Expressivity by gaussian perturbation."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from nasplug import PositiveFloat, Range, ZeroCostProxy
from nasplug.contracts.probe import Probe
from nasplug_proxies.activation_based.features import last_map


class Zen(ZeroCostProxy):
    """log E sum|f(x) - f(x + alpha e)| + sum over batch norms of log sqrt(mean variance), f being
    the last feature map before the classifier, x and e gaussian, weights N(0, 1) (Lin et al., ICCV
    2021, algorithm 1).

    The second term puts back the scale that each batch norm takes out; `batch_norm_term=False`
    leaves it away. The variances are those of the batch x; a batch norm that sees only constants takes
    nothing out.
    """

    input = "gaussian"
    init = "normal"
    double = True

    def __init__(
        self,
        samples: Annotated[int, Range(ge=2)] = 16,
        alpha: PositiveFloat = 0.01,
        batch_norm_term: bool = True,
    ) -> None:
        self.samples = samples
        self.alpha = alpha
        self.batch_norm_term = batch_norm_term

    @torch.no_grad()
    def score(self, probe: Probe) -> float:
        """Two forward passes, without data."""
        norms = [m for m in probe.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        near = tree_map_only(torch.Tensor, self._near, probe.inputs)
        variances: list[torch.Tensor] = []
        hooks = [
            m.register_forward_pre_hook(lambda _, args: variances.append(_variance(args[0])))
            for m in norms
        ]
        try:
            here = last_map(probe.model, probe.inputs)
        finally:
            for hook in hooks:
                hook.remove()
        change = (here - last_map(probe.model, near)).abs().flatten(1).sum(1).mean()
        scale = sum(float(0.5 * v.log()) for v in variances if v > 0)
        return float(change.log()) + (scale if self.batch_norm_term else 0.0)

    def _near(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.alpha * torch.randn_like(x) if x.is_floating_point() else x


def _variance(x: torch.Tensor) -> torch.Tensor:
    return x.transpose(0, 1).flatten(1).var(1).mean()
