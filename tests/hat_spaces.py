"""Spaces with the design variables of hardware-aware transformers, without networks."""

import torch
from torch import nn

from nasplug import SearchSpace, Variable


def hat_variables(
    embedding=(640, 512), ffn=(3072, 2048, 1024), heads=(8, 4), layers=(1, 2, 3, 4, 5, 6)
):
    """The 40 of HAT's first space, or a variant, in the published order."""
    most = max(layers)

    def half(name, depths, parts):
        found = [Variable(f"{name}.embedding", embedding), Variable(f"{name}.layers", depths)]
        for part, options in parts.items():
            for k in range(1, max(depths) + 1):
                when = {f"{name}.layers": tuple(d for d in depths if d >= k)}
                when = when if len(depths) > 1 else ()
                found.append(Variable(f"{name}.layer{k}.{part}", options, when))
        return found

    decoder = {
        "ffn": ffn,
        "self_attention.heads": heads,
        "cross_attention.heads": heads,
        "encoder_layers": (1, 2, 3),
    }
    return (
        *half("encoder", (most,), {"ffn": ffn, "heads": heads}),
        *half("decoder", layers, decoder),
    )


class HatSpace(SearchSpace):
    """HAT's space for WMT, or with `iwslt` the smaller one; networks are a stand-in."""

    def __init__(self, iwslt: bool = False) -> None:
        self.iwslt = iwslt

    @property
    def variables(self):
        return hat_variables(ffn=(2048, 1024, 512), heads=(4, 2)) if self.iwslt else hat_variables()

    def build(self, arch):
        return nn.Linear(2, 2)

    def example_inputs(self, batch_size):
        return (torch.zeros(batch_size, 2),)


def published(space, config):
    """The architecture of a published configuration of HAT."""
    values = {}
    for half in ("encoder", "decoder"):
        depth = config[f"{half}-layer-num-subtransformer"]
        values[f"{half}.embedding"] = config[f"{half}-embed-dim-subtransformer"]
        values[f"{half}.layers"] = depth
        keys = {"ffn": f"{half}-ffn-embed-dim-all-subtransformer"}
        if half == "encoder":
            keys["heads"] = "encoder-self-attention-heads-all-subtransformer"
        else:
            keys["self_attention.heads"] = "decoder-self-attention-heads-all-subtransformer"
            keys["cross_attention.heads"] = "decoder-ende-attention-heads-all-subtransformer"
            keys["encoder_layers"] = "decoder-arbitrary-ende-attn-all-subtransformer"
        for part, key in keys.items():
            for k, value in enumerate(config[key][:depth], start=1):
                attended = {-1: 1, 1: 2, 2: 3}
                values[f"{half}.layer{k}.{part}"] = (
                    attended[value] if part == "encoder_layers" else value
                )
    return space.arch(values)
