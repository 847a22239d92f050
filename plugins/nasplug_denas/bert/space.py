"""The search space of elastic BERT encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, final

import torch
from torch import nn

from nasplug import Architecture, NasplugError, PositiveFloat, PositiveInt, Range, Variable
from nasplug.contracts.types import Archs, FloatArray
from nasplug.elastic import (
    Choice,
    ElasticEmbedding,
    ElasticLayerNorm,
    ElasticLinear,
    ElasticMLP,
    ElasticMultiheadAttention,
    ElasticSequential,
    ElasticSpace,
)
from nasplug.toolkit.elastic.options import require_options
from nasplug.toolkit.elastic.sizes import Own
from nasplug_denas.bert.costs import costs
from nasplug_denas.bert.network import Bert, BertLayer, TextHead, TokenHead, initialise
from nasplug_denas.bert.pretrained import load

Options = tuple[PositiveInt, ...] | list[PositiveInt]
VOCABULARY, LENGTH, CLASSES = 30_522, 512, 2
"""Of bert-base-uncased, where neither the user nor a task says how many."""
OPTIONS = ("layers", "heads", "hidden", "ffn", "qkv")
EPS = 1e-12


@final
class DenasBert(ElasticSpace):
    """BERT encoders of elastic depth, width, heads and MLP width, the same in every layer.

    DE-NAS (Intel e2eAIOK), domain bert: layers 4 to 12, heads 8 to 12 of 64 channels, hidden 128 to
    768, ffn 128 to 3072: 171,585 architectures, of which the largest is bert-base. Fewer layers are
    the first, fewer heads and channels the leading ones.

    Costs: `params`, `params_encoder` without the head's output layer, as published, and `macs` (linear
    layers and attention's products) of one text of `example_length` tokens.

    Args:
        vocabulary: Tokens; None: as the task says, without one 30,522.
        num_classes: Classes of a text; None: as the task says, without one 2.
        token_outputs: Numbers for every token in place of classes, such as 2 for where an answer
            begins and ends; None: as the task says, without one classes.
        max_length: Positions; None: as the task says, without one 512.
        token_types: Types of tokens: 2 for pairs of texts.
        layers, heads, hidden, ffn: Options of the depth, the heads, the width and the MLPs' width.
        head_dim: Channels of a head.
        qkv: Options of the channels of all queries, keys or values of a layer, divided among the
            heads; None: head_dim for each head, as published.
        dropout, attention_dropout: On what layers add, and on the attention weights.
        initializer_range: Standard deviation of fresh weights.
        pretrained: Folder of a BERT that Hugging Face saved, the leading part of whose weights
            networks begin with; None: fresh weights.
        example_length: Tokens of the text that costs and latency are of, at most max_length.
    """

    def __init__(
        self,
        vocabulary: PositiveInt | None = None,
        num_classes: PositiveInt | None = None,
        token_outputs: PositiveInt | None = None,
        max_length: PositiveInt | None = None,
        token_types: PositiveInt = 2,
        layers: Options = tuple(range(4, 13)),
        heads: Options = tuple(range(8, 13)),
        hidden: Options = tuple(range(128, 769, 16)),
        ffn: Options = tuple(range(128, 3073, 32)),
        head_dim: PositiveInt = 64,
        qkv: Options | None = None,
        dropout: Annotated[float, Range(ge=0, lt=1)] = 0.1,
        attention_dropout: Annotated[float, Range(ge=0, lt=1)] = 0.1,
        initializer_range: PositiveFloat = 0.02,
        pretrained: str | None = None,
        example_length: PositiveInt = 128,
    ) -> None:
        if num_classes is not None and token_outputs is not None:
            raise NasplugError(
                "a network must give classes of a text or numbers for every token, but got num_classes="
                f"{num_classes} and token_outputs={token_outputs}; leave one out"
            )
        self.vocabulary = vocabulary or VOCABULARY
        self.num_classes = num_classes
        self.token_outputs = token_outputs
        self.max_length = max_length or LENGTH
        self.token_types = token_types
        self.layers = tuple(layers)
        self.heads = tuple(heads)
        self.hidden = tuple(hidden)
        self.ffn = tuple(ffn)
        self.head_dim = head_dim
        self.qkv = None if qkv is None else tuple(qkv)
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.initializer_range = initializer_range
        self.pretrained = pretrained
        self.example_length = example_length
        self._check()

    def _check(self) -> None:
        require_options(self, OPTIONS)
        if any(channels % heads for channels in self.qkv or () for heads in self.heads):
            raise NasplugError(
                f"every one of heads must divide every one of qkv, but got {self.heads} and {self.qkv}"
            )
        if self.pretrained is not None and self.qkv is not None:
            raise NasplugError(
                "pretrained heads keep their channels, so pretrained needs qkv=null; type space.qkv=null"
            )

    @property
    def outputs(self) -> int:
        """What the head gives: classes of a text, or numbers for a token."""
        return self.token_outputs or self.num_classes or CLASSES

    @property
    def tokens(self) -> int:
        """Of the text that costs are of."""
        return min(self.example_length, self.max_length)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The same in every layer; said here, as asking the largest model for them would make it."""
        names = ("layers", "hidden", "heads", *(("qkv",) if self.qkv is not None else ()), "ffn")
        return tuple(Variable(name, getattr(self, name)) for name in names)

    # ---- the model -----------------------------------------------------------------------------

    def model(self) -> Bert:
        """The elastic encoder."""
        width = Choice("hidden", self.hidden)
        return Bert(
            [
                ElasticEmbedding(rows, width)
                for rows in (self.vocabulary, self.max_length, self.token_types)
            ],
            ElasticLayerNorm(width, EPS),
            ElasticSequential(
                *(self._layer(width) for _ in range(max(self.layers))),
                depth=Choice("layers", self.layers),
            ),
            self._head(width),
            self.dropout,
        )

    def _layer(self, width: Choice) -> BertLayer:
        heads = Choice("heads", self.heads)
        inner: Any = {"head_dim": self.head_dim}
        if self.qkv is not None:
            inner = {"qkv_dim": Choice("qkv", self.qkv)}
        return BertLayer(
            ElasticMultiheadAttention(width, heads, dropout=self.attention_dropout, **inner),
            ElasticMLP(width, Choice("ffn", self.ffn), nn.GELU),
            [ElasticLayerNorm(width, EPS) for _ in range(2)],
            self.dropout,
        )

    def _head(self, width: Choice) -> nn.Module:
        if self.token_outputs is not None:
            return TokenHead(ElasticLinear(width, self.outputs))
        pooled = Own(width)
        return TextHead(
            ElasticLinear(width, pooled), ElasticLinear(pooled, self.outputs), self.dropout
        )

    def initialise(self, network: nn.Module) -> None:
        """As BERT does, or the leading part of the pretrained weights."""
        initialise(network, self.initializer_range)
        empty = any(parameter.is_meta for parameter in network.parameters())
        if self.pretrained is not None and not empty:  # what is empty is given weights of its own
            load(network, self.pretrained, self.head_dim)

    # ---- what it costs -------------------------------------------------------------------------

    def example_inputs(self, batch_size: int) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask and token_type_ids of `batch_size` texts without padding, the
        second half of each a second text."""
        place = torch.arange(batch_size * self.tokens).view(batch_size, self.tokens)
        inside = place % self.tokens
        return {
            "input_ids": place * 7919 % self.vocabulary,
            "attention_mask": torch.ones_like(place),
            "token_type_ids": (inside >= self.tokens // 2).long() * (self.token_types > 1),
        }

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params`, `params_encoder` and `macs`, exact, shape (n,)."""
        return costs(self, archs)

    # ---- published notation --------------------------------------------------------------------

    def from_denas(self, structure: Sequence[int]) -> Architecture:
        """The architecture of DE-NAS's (layers, heads, qkv, hidden, ffn)."""
        values = list(structure)
        if len(values) != 5:
            raise NasplugError(
                "a structure must be (layers, heads, qkv, hidden, ffn), five numbers, but got "
                f"{len(values)}"
            )
        layers, heads, qkv, hidden, ffn = values
        config = {"layers": layers, "heads": heads, "hidden": hidden, "ffn": ffn}
        if self.qkv is not None:
            config["qkv"] = qkv
        elif qkv != heads * self.head_dim:
            raise NasplugError(
                f"qkv must be {self.head_dim} for each of {heads} heads, {heads * self.head_dim}, but got "
                f"{qkv}"
            )
        return self.arch(config)

    def to_denas(self, arch: Architecture) -> tuple[int, int, int, int, int]:
        """(layers, heads, qkv, hidden, ffn) of `arch`, as DE-NAS writes its best structure."""
        config = self.config(arch)
        heads = config["heads"]
        qkv = config.get("qkv", heads * self.head_dim)
        return config["layers"], heads, qkv, config["hidden"], config["ffn"]
