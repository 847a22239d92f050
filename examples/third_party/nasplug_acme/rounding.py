"""A finalizer: weights as a chip of few bits has them."""

import torch

from nasplug import Finalizer, NasplugError


class AcmeRounding(Finalizer):
    """Rounds each weight of two axes or more to 2^bits - 1 even steps between -m and m, where m is the
    largest of its output channel; symmetric and per channel, as integer hardware wants it."""

    def __init__(self, bits: int = 8) -> None:
        if bits < 2:
            raise NasplugError(f"bits must be at least 2, but got {bits}")
        self.bits = bits

    @torch.no_grad()
    def finalize(self, network, batches):
        """The network itself, its weights changed in place."""
        most = 2 ** (self.bits - 1) - 1
        for weight in network.parameters():
            if weight.ndim > 1:
                axes = tuple(range(1, weight.ndim))
                step = (weight.abs().amax(axes, keepdim=True) / most).clamp_min(1e-12)
                weight.copy_((weight / step).round() * step)
        return network.eval()
