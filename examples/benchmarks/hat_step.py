"""A training step of the elastic translation transformer beside torch's own `nn.Transformer`.

    python examples/benchmarks/hat_step.py

The super-network with one sub-network active, forward and backward on a batch of tokens, against a
plain embedding, `nn.Transformer` and output layer of the extracted size, with the same masks. One
thread, both in turns, the median of the pairs' ratios; above 1, the super-network is slower.
"""

import math
import statistics
import time

import torch
from nasplug_hat.space import Hat
from torch import nn
from torch.nn import functional

from nasplug import seeded

SIZES = {
    "default (48 wide)": dict(
        encoder_embedding=(48, 36, 24), decoder_embedding=(48, 36, 24), encoder_ffn=(96, 48, 24),
        decoder_ffn=(96, 48, 24), encoder_layers=(2,), decoder_layers=(3, 2, 1),
        encoder_heads=(4, 2), decoder_heads=(4, 2), cross_heads=(4, 2), attended_layers=(1, 2),
        qkv=48, source_vocabulary=400, target_vocabulary=400,
    ),
    "128 wide": dict(
        encoder_embedding=(128, 96), decoder_embedding=(128, 96), encoder_ffn=(384, 256, 128),
        decoder_ffn=(384, 256, 128), encoder_layers=(2,), decoder_layers=(3, 2, 1),
        encoder_heads=(8, 4), decoder_heads=(8, 4), cross_heads=(8, 4), attended_layers=(1, 2),
        qkv=128, source_vocabulary=2000, target_vocabulary=2000,
    ),
    "512 wide": dict(
        encoder_embedding=(640, 512), decoder_embedding=(640, 512), qkv=512,
        source_vocabulary=4000, target_vocabulary=4000,
    ),
}  # fmt: skip


class Plain(nn.Module):
    """torch's transformer of given sizes, with a tied table; queries are as wide as the network."""

    def __init__(self, width, heads, layers, ffn, vocabulary):
        super().__init__()
        self.table = nn.Embedding(vocabulary, width, 0)
        self.body = nn.Transformer(width, heads, *layers, ffn, 0.0, batch_first=True)
        self.output = nn.Linear(width, vocabulary, bias=False)
        self.output.weight = self.table.weight
        self.register_buffer("places", torch.randn(64, width), persistent=False)

    def embed(self, tokens):
        return (
            self.table(tokens) * math.sqrt(self.table.embedding_dim)
            + self.places[: tokens.shape[1]]
        )

    def forward(self, source, target):
        hidden, n = source == 0, target.shape[1]
        ahead = torch.ones(n, n, dtype=torch.bool).triu(1)
        x = self.body(
            self.embed(source), self.embed(target), tgt_mask=ahead, src_key_padding_mask=hidden,
            memory_key_padding_mask=hidden, tgt_is_causal=True,
        )  # fmt: skip
        return self.output(x)


def step(network, source, target, optimizer):
    start = time.process_time()
    logits = network(source, target)
    functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=0).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return time.process_time() - start


def compare(sizes, pairs=30):
    space = Hat(**sizes, dropout=0.0, attention_dropout=0.0)
    config = {v.name: v.options[-1 if "ffn" in v.name else 0] for v in space.variables}
    config |= {n: 1 for n in config if n.endswith("encoder_layers")}
    width = space.encoder_embedding[-1] if space.qkv != space.encoder_embedding[0] else space.qkv
    config |= {"encoder.embedding": width, "decoder.embedding": width}
    with seeded(0):
        elastic = space.supernet()
        layers = max(space.encoder_layers), max(space.decoder_layers)
        ffn = config["encoder.layer1.ffn"]
        plain = Plain(width, max(space.encoder_heads), layers, ffn, space.target_vocabulary)
        tokens = [torch.randint(1, space.target_vocabulary, (48, n)) for n in (20, 21)]
    tokens[0][::2, 15:] = 0
    arch = space.arch(config)
    elastic.activate(arch)
    extracted = elastic.extract(arch)
    ratios = {"activated": [], "extracted": []}
    runs = {}
    for name, network in (("activated", elastic), ("extracted", extracted), ("plain", plain)):
        runs[name] = network.train(), torch.optim.SGD(network.parameters(), 1e-3)
    for _ in range(pairs):
        seconds = {name: step(net, *tokens, optimizer) for name, (net, optimizer) in runs.items()}
        for name in ratios:
            ratios[name].append(seconds[name] / seconds["plain"])
    return {name: statistics.median(found[3:]) for name, found in ratios.items()}, seconds["plain"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, sizes in SIZES.items():
        ratios, seconds = compare(sizes, 30 if "512" not in name else 8)
        print(
            f"{name:18} nn.Transformer {1e3 * seconds:7.1f} ms; super-network {ratios['activated']:.2f} "
            f"of it, extracted {ratios['extracted']:.2f}"
        )
