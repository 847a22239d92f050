"""The search space of elastic translation transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, final

import torch
from torch import nn

from nasplug import Architecture, NasplugError, PositiveInt, Range
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
from nasplug.toolkit.sequences.tokens import PADDING
from nasplug_hat import published
from nasplug_hat.costs import costs
from nasplug_hat.layers import (
    DecoderLayer,
    ElasticLastLayers,
    EncoderLayer,
    ScaledDropout,
    SinusoidalPositions,
)
from nasplug_hat.network import TranslationTransformer, initialise

Options = tuple[PositiveInt, ...] | list[PositiveInt]
VOCABULARY = 1000
"""Tokens where neither the user nor a task says how many."""
TIMED_BEAM = 5
"""Hypotheses of the sentence whose translation `latency` times, as in HAT's measurements."""


@final
class Hat(ElasticSpace):
    """Translation transformers of elastic widths, depths, heads, and attention to the encoder.

    Wang et al., HAT: Hardware-Aware Transformers for Efficient Natural Language Processing, ACL
    2020. Variables: the width of encoder and decoder, how many layers each has, and for every
    layer its MLP's width, its heads, and, in the decoder, how many of the last encoder layers are
    attended to. Fewer heads divide the same `qkv` channels among them, and cost the same.

    Costs: `params` without embeddings and the output layer, as published, `params_all`, and `macs`
    (linear layers and attention's products, the output layer too) of one sentence of
    `source_length` tokens that is translated to `target_length`; `flops_hat` is the number that the
    paper prints: twice the multiply-adds without the output layer, and with those of layer norms
    and scaling. `latency` times a translation: the source encoded once, then `target_length` tokens
    decoded with 5 hypotheses.

    Args:
        source_vocabulary, target_vocabulary: Tokens; None: as the task says, without one 1,000.
        shared_embeddings: One table for source, target and output (WMT); else three (IWSLT).
        encoder_embedding, decoder_embedding: Options of the widths.
        encoder_layers, decoder_layers: Options of the depths.
        encoder_ffn, decoder_ffn: Options of the MLPs' widths.
        encoder_heads, decoder_heads, cross_heads: Options of the heads, which divide `qkv`.
        attended_layers: Options of how many of the last encoder layers a decoder layer attends to.
        qkv: Channels of all queries, keys or values of a layer together.
        dropout: At the greatest width; it is in proportion to the active one.
        attention_dropout: On the attention weights.
        pre_norm: Layer norms before each part, and one at the end; else after it, as published.
        source_length, target_length: Tokens of the sentence that costs and latency are of.
    """

    def __init__(
        self,
        source_vocabulary: PositiveInt | None = None,
        target_vocabulary: PositiveInt | None = None,
        shared_embeddings: bool = True,
        encoder_embedding: Options = (640, 512),
        decoder_embedding: Options = (640, 512),
        encoder_layers: Options = (6,),
        decoder_layers: Options = (6, 5, 4, 3, 2, 1),
        encoder_ffn: Options = (3072, 2048, 1024),
        decoder_ffn: Options = (3072, 2048, 1024),
        encoder_heads: Options = (8, 4),
        decoder_heads: Options = (8, 4),
        cross_heads: Options = (8, 4),
        attended_layers: Options = (1, 2, 3),
        qkv: PositiveInt = 512,
        dropout: Annotated[float, Range(ge=0, lt=1)] = 0.3,
        attention_dropout: Annotated[float, Range(ge=0, lt=1)] = 0.1,
        pre_norm: bool = False,
        source_length: PositiveInt = 30,
        target_length: PositiveInt = 30,
    ) -> None:
        self.source_vocabulary = source_vocabulary or VOCABULARY
        self.target_vocabulary = target_vocabulary or VOCABULARY
        self.shared_embeddings = shared_embeddings
        self.encoder_embedding = tuple(encoder_embedding)
        self.decoder_embedding = tuple(decoder_embedding)
        self.encoder_layers = tuple(encoder_layers)
        self.decoder_layers = tuple(decoder_layers)
        self.encoder_ffn = tuple(encoder_ffn)
        self.decoder_ffn = tuple(decoder_ffn)
        self.encoder_heads = tuple(encoder_heads)
        self.decoder_heads = tuple(decoder_heads)
        self.cross_heads = tuple(cross_heads)
        self.attended_layers = tuple(attended_layers)
        self.qkv = qkv
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.pre_norm = pre_norm
        self.source_length = source_length
        self.target_length = target_length
        self._check()

    def _check(self) -> None:
        require_options(self, OPTIONS)
        for name in ("encoder_heads", "decoder_heads", "cross_heads"):
            if any(self.qkv % heads for heads in getattr(self, name)):
                raise NasplugError(
                    f"{name} must divide qkv={self.qkv}, but got {getattr(self, name)}"
                )
        if max(self.attended_layers) > min(self.encoder_layers):
            raise NasplugError(
                f"attended_layers must be at most the encoder's {min(self.encoder_layers)} layers, but "
                f"got {self.attended_layers}; take space.attended_layers="
                f"{list(range(1, min(self.encoder_layers) + 1))}"
            )
        if self.shared_embeddings and self.source_vocabulary != self.target_vocabulary:
            raise NasplugError(
                "one shared table of embeddings needs one vocabulary, but source and target have "
                f"{self.source_vocabulary} and {self.target_vocabulary} tokens; take task.joint=true or "
                "space.shared_embeddings=false"
            )

    # ---- the model -----------------------------------------------------------------------------

    def model(self) -> TranslationTransformer:
        """The elastic transformer."""
        # Positions are added to the columns in their order, so it must stay as it is.
        encoder = Own(Choice("encoder.embedding", self.encoder_embedding), sortable=False)
        decoder = Own(Choice("decoder.embedding", self.decoder_embedding), sortable=False)
        width = max(*self.encoder_embedding, *self.decoder_embedding)
        source = ElasticEmbedding(self.source_vocabulary, encoder, PADDING)
        target = ElasticEmbedding(self.target_vocabulary, decoder, PADDING)
        output = ElasticLinear(decoder, self.target_vocabulary, bias=False)
        output.weight = target.weight
        if not self.shared_embeddings:
            output.weight = nn.Parameter(torch.empty_like(target.weight))
        elif source.weight.shape == target.weight.shape:
            source.weight = target.weight
        else:
            raise NasplugError(
                "one shared table of embeddings needs encoder and decoder of one greatest width, but got "
                f"{max(self.encoder_embedding)} and {max(self.decoder_embedding)}; take "
                "space.shared_embeddings=false"
            )
        return TranslationTransformer(
            source,
            target,
            ElasticSequential(
                *(self._encoder_layer(k, encoder) for k in _numbers(self.encoder_layers)),
                depth=Choice("encoder.layers", self.encoder_layers),
            ),
            ElasticSequential(
                *(self._decoder_layer(k, decoder, encoder) for k in _numbers(self.decoder_layers)),
                depth=Choice("decoder.layers", self.decoder_layers),
            ),
            output,
            SinusoidalPositions(width),
            [self._dropout(size) for size in (self.encoder_embedding, self.decoder_embedding)],
            [self._norm(size) if self.pre_norm else nn.Identity() for size in (encoder, decoder)],
        )

    def _encoder_layer(self, number: int, width: Own) -> EncoderLayer:
        name = f"encoder.layer{number}"
        heads = Choice(f"{name}.heads", self.encoder_heads)
        return EncoderLayer(
            self._attention(width, heads),
            ElasticMLP(width, Choice(f"{name}.ffn", self.encoder_ffn), nn.ReLU),
            [self._norm(width) for _ in range(2)],
            self._dropout(self.encoder_embedding),
            self.pre_norm,
        )

    def _decoder_layer(self, number: int, width: Own, memory: Own) -> DecoderLayer:
        name = f"decoder.layer{number}"
        return DecoderLayer(
            self._attention(width, Choice(f"{name}.self_attention.heads", self.decoder_heads)),
            self._attention(
                width, Choice(f"{name}.cross_attention.heads", self.cross_heads), memory
            ),
            ElasticMLP(width, Choice(f"{name}.ffn", self.decoder_ffn), nn.ReLU),
            ElasticLastLayers(Choice(f"{name}.encoder_layers", self.attended_layers)),
            [self._norm(width) for _ in range(3)],
            self._dropout(self.decoder_embedding),
            self.pre_norm,
        )

    def _attention(
        self, width: Own, heads: Choice, memory: Own | None = None
    ) -> ElasticMultiheadAttention:
        return ElasticMultiheadAttention(
            width,
            heads,
            qkv_dim=self.qkv,
            kv_dim=memory,
            fused=memory is None,
            dropout=self.attention_dropout,
        )

    def _norm(self, width: Own) -> ElasticLayerNorm:
        return ElasticLayerNorm(width)

    def _dropout(self, widths: Sequence[int]) -> ScaledDropout:
        return ScaledDropout(self.dropout, max(widths))

    def initialise(self, network: nn.Module) -> None:
        """As HAT does."""
        assert isinstance(network, TranslationTransformer)
        initialise(network)

    # ---- what it costs -------------------------------------------------------------------------

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Source and target token ids, (batch_size, source_length) and (batch_size, target_length)."""
        return (
            _tokens(batch_size, self.source_length, self.source_vocabulary),
            _tokens(batch_size, self.target_length, self.target_vocabulary),
        )

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params`, `params_all`, `macs` and `flops_hat`, exact, shape (n,)."""
        return costs(self, archs)

    def timed(self, network: nn.Module, inputs: Any) -> None:
        """Translate: encode the source, then decode as many tokens as the target has, with 5
        hypotheses each."""
        source, target = inputs
        assert isinstance(network, TranslationTransformer)
        memory, cache = network.encode(source), None
        tokens = target[:, :1].expand(-1, TIMED_BEAM)
        for _ in range(target.shape[1]):
            _, cache = network.decode(tokens, memory, cache)

    # ---- published notations -------------------------------------------------------------------

    def from_hat(self, config: Mapping[str, Any] | str) -> Architecture:
        """The architecture of a configuration of the original repository, its YAML as text or read:
        {"encoder-embed-dim-subtransformer": 512, ..}."""
        return self.arch(published.from_hat(config))

    def to_hat(self, arch: Architecture) -> dict[str, Any]:
        """The configuration of `arch` as the original repository writes it."""
        return published.to_hat(self.config(arch))

    def from_dynas(self, genes: Sequence[int]) -> Architecture:
        """The architecture of DyNAS-T's 39 genes, indices of options in the order of its tables."""
        return self.arch(published.from_dynas(genes, self._options()))

    def to_dynas(self, arch: Architecture) -> list[int]:
        """DyNAS-T's genes of `arch`."""
        return published.to_dynas(self.config(arch), self._options())

    def _options(self) -> dict[str, Any]:
        """Every variable's options, by name."""
        return {variable.name: variable.options for variable in self.variables}


OPTIONS = (
    "encoder_embedding",
    "decoder_embedding",
    "encoder_layers",
    "decoder_layers",
    "encoder_ffn",
    "decoder_ffn",
    "encoder_heads",
    "decoder_heads",
    "cross_heads",
    "attended_layers",
)


def _numbers(depths: Sequence[int]) -> range:
    """The layers' numbers, from 1."""
    return range(1, max(depths) + 1)


def _tokens(rows: int, length: int, vocabulary: int) -> torch.Tensor:
    """Token ids without padding, always the same, spread over the vocabulary."""
    place = torch.arange(rows * length).view(rows, length)
    return 1 + place * 7919 % (vocabulary - 1)
