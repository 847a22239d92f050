"""A zero-cost proxy: how differently an untrained network answers different inputs."""

from nasplug import ZeroCostProxy


class AcmeSignal(ZeroCostProxy):
    """Log of the standard deviation of the outputs over gaussian examples, averaged over outputs."""

    needs = ("outputs",)
    input = "gaussian"

    def score(self, probe):
        """One number; higher is better."""
        return float(probe.outputs.std(dim=0).mean().log())
