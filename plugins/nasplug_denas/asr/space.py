"""The search space of elastic speech transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, final

import torch
from torch import nn

from nasplug import Architecture, NasplugError, NonNegativeInt, PositiveFloat, PositiveInt, Range
from nasplug.contracts.types import Archs, FloatArray
from nasplug.elastic import (
    Choice,
    Derived,
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
from nasplug_denas.asr.costs import costs
from nasplug_denas.asr.layers import DecoderLayer, EncoderLayer, FrontEnd, Positions
from nasplug_denas.asr.network import SpeechTransformer, initialise

Counts = tuple[PositiveInt, ...] | list[PositiveInt]
Ratios = tuple[PositiveFloat, ...] | list[PositiveFloat]
MELS, VOCABULARY = 80, 5000
"""Where neither the user nor a task says how many."""
EPSILON = 1e-6
OPTIONS = ("layers", "mlp_ratio", "heads", "width")


@final
class DenasAsr(ElasticSpace):
    """Speech transformers of elastic depth and width, and heads and MLP ratio a layer.

    The ASR domain of DE-NAS (Intel e2eAIOK, 2022): a convolutional front-end, a transformer encoder that
    is searched, and a decoder of fixed layers, which has the encoder's width. Layer norms stand
    before each part; heads share the width among them. CTC is on the encoder; without a decoder it
    is alone. With `num_classes` the network names a recording: the mean frame has a linear head,
    and there is no decoder.

    Costs: `params` as published, those of the encoder with its input layer, and of the decoder with its
    embeddings, without the front-end and the output layers; `params_all`; and `macs` of one
    recording of `frames` frames with `tokens` tokens.

    Args:
        mels: Bands of the features; None: as the task says, without one 80.
        vocabulary: Tokens; None: as the task says, without one 5,000.
        num_classes: Labels, in place of a vocabulary; None: as the task says.
        layers: Options of the encoder's depth.
        mlp_ratio, heads: Options of each layer: the MLP's width is int(ratio * width).
        width: Options of the width of all layers, which heads divide.
        decoder_layers: Of the decoder; 0: none.
        decoder_heads, decoder_ffn: Heads, and the MLP's width, of each of its layers.
        channels: Of the front-end's blocks.
        kernel_sizes, strides: Of each of its blocks, along time and bands.
        dropout: On every part's output.
        frames, tokens: Of the recording that costs are of.
    """

    def __init__(
        self,
        mels: PositiveInt | None = None,
        vocabulary: Annotated[int, Range(ge=5)] | None = None,
        num_classes: PositiveInt | None = None,
        layers: Counts = (5, 6, 7, 8, 9, 10, 11, 12),
        mlp_ratio: Ratios = (3.0, 3.5, 4.0, 4.5, 5.0),
        heads: Counts = (2, 3, 4),
        width: Counts = (192, 216, 240, 324, 384, 444),
        decoder_layers: NonNegativeInt = 6,
        decoder_heads: PositiveInt = 4,
        decoder_ffn: PositiveInt = 2048,
        channels: PositiveInt = 64,
        kernel_sizes: Counts = (5, 5, 1),
        strides: Counts = (2, 2, 1),
        dropout: Annotated[float, Range(ge=0, lt=1)] = 0.1,
        frames: PositiveInt = 400,
        tokens: PositiveInt = 25,
    ) -> None:
        if vocabulary is not None and num_classes is not None:
            raise NasplugError(
                f"a network gives tokens or classes, but vocabulary is {vocabulary} and num_classes is "
                f"{num_classes}; leave one of them out"
            )
        self.mels = mels or MELS
        self.vocabulary = vocabulary if num_classes else vocabulary or VOCABULARY
        self.num_classes = num_classes
        self.layers = tuple(layers)
        self.mlp_ratio = tuple(map(float, mlp_ratio))
        self.heads = tuple(heads)
        self.width = tuple(width)
        self.decoder_layers = decoder_layers
        self.decoder_heads = decoder_heads
        self.decoder_ffn = decoder_ffn
        self.channels = channels
        self.kernel_sizes = tuple(kernel_sizes)
        self.strides = tuple(strides)
        self.dropout = dropout
        self.frames = frames
        self.tokens = tokens
        self._check()

    def _check(self) -> None:
        require_options(self, OPTIONS)
        every = {*self.heads, *((self.decoder_heads,) if self.decodes else ())}
        for heads in sorted(every):
            if wrong := [width for width in self.width if width % heads]:
                raise NasplugError(
                    f"heads must divide every width, but {heads} heads do not divide {wrong[0]}; take "
                    "other options of space.width, space.heads or space.decoder_heads"
                )
        if len(self.kernel_sizes) != len(self.strides) or not self.strides:
            raise NasplugError(
                f"kernel_sizes and strides must have an entry for each block of the front-end, but got "
                f"{self.kernel_sizes} and {self.strides}"
            )
        if even := [size for size in self.kernel_sizes if size % 2 == 0]:
            raise NasplugError(f"kernel_sizes must be odd, but got {even[0]}")

    @property
    def decodes(self) -> bool:
        """Whether there is a decoder."""
        return self.num_classes is None and self.decoder_layers > 0

    @property
    def outputs(self) -> int:
        """Tokens, or classes."""
        return self.num_classes or self.vocabulary or VOCABULARY

    # ---- the model -----------------------------------------------------------------------------

    def model(self) -> SpeechTransformer:
        """The elastic transformer."""
        # Positions are added to the columns in their order, so it must stay as it is.
        width = Own(Choice("width", self.width), sortable=False)
        front_end = FrontEnd(self.mels, self.channels, self.kernel_sizes, self.strides)
        encoder = ElasticSequential(
            *(self._encoder_layer(k, width) for k in range(1, max(self.layers) + 1)),
            depth=Choice("layers", self.layers),
        )
        return SpeechTransformer(
            front_end,
            ElasticLinear(front_end.features, width),
            encoder,
            ElasticLayerNorm(width, EPSILON),
            ElasticLinear(width, self.outputs),
            Positions(max(self.width)),
            self.dropout,
            self._decoder(width) if self.decodes else None,
            self.num_classes is not None,
        )

    def _encoder_layer(self, number: int, width: Own) -> EncoderLayer:
        ratio = Choice(f"layer{number}.mlp_ratio", self.mlp_ratio)
        heads = Choice(f"layer{number}.heads", self.heads)
        return EncoderLayer(
            ElasticMultiheadAttention(width, heads, fused=True),
            ElasticMLP(width, Derived(_times, (width, ratio)), nn.GELU, self.dropout),
            [ElasticLayerNorm(width, EPSILON) for _ in range(2)],
            self.dropout,
        )

    def _decoder(self, width: Own) -> nn.ModuleDict:
        layers = (self._decoder_layer(width) for _ in range(self.decoder_layers))
        return nn.ModuleDict(
            {
                "embedding": ElasticEmbedding(self.outputs, width, PADDING),
                "layers": nn.Sequential(*layers),
                "norm": ElasticLayerNorm(width, EPSILON),
                "output": ElasticLinear(width, self.outputs),
            }
        )

    def _decoder_layer(self, width: Own) -> DecoderLayer:
        return DecoderLayer(
            ElasticMultiheadAttention(width, self.decoder_heads, fused=True),
            ElasticMultiheadAttention(width, self.decoder_heads),
            ElasticMLP(width, self.decoder_ffn, nn.GELU, self.dropout),
            [ElasticLayerNorm(width, EPSILON) for _ in range(3)],
            self.dropout,
        )

    def initialise(self, network: nn.Module) -> None:
        """As DE-NAS does."""
        assert isinstance(network, SpeechTransformer)
        initialise(network)

    # ---- what it costs -------------------------------------------------------------------------

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Features (batch_size, frames, mels), their frames, and tokens where there is a decoder."""
        place = torch.arange(batch_size * self.frames * self.mels, dtype=torch.float32)
        features = (place * 0.37).sin().view(batch_size, self.frames, self.mels)
        lengths = torch.full((batch_size,), self.frames)
        if not self.decodes:
            return features, lengths
        ids = torch.arange(batch_size * self.tokens).view(batch_size, self.tokens)
        return features, lengths, 1 + ids * 7919 % (self.outputs - 1)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params`, `params_all` and `macs`, exact, shape (n,)."""
        return costs(self, archs)

    # ---- the published notation ----------------------------------------------------------------

    def from_denas(self, candidate: Sequence[Any]) -> Architecture:
        """The architecture of DE-NAS's tuple: depth, each layer's MLP ratio, each layer's heads, width."""
        genes = list(candidate)
        depth = int(genes[0]) if genes and isinstance(genes[0], int | float) else 0
        if depth < 1 or len(genes) != 2 * depth + 2:
            raise NasplugError(
                "a candidate must be the depth, as many MLP ratios, as many heads, and the width, but "
                f"got {candidate!s:.100}"
            )
        config: dict[str, Any] = {"layers": depth, "width": genes[-1]}
        for k in range(depth):
            config[f"layer{k + 1}.mlp_ratio"] = genes[1 + k]
            config[f"layer{k + 1}.heads"] = genes[1 + depth + k]
        if depth > max(self.layers):
            raise NasplugError(f"layers must be one of {list(self.layers)}, but got {depth}")
        return self.arch(config)

    def to_denas(self, arch: Architecture) -> tuple[Any, ...]:
        """DE-NAS's tuple of `arch`."""
        config = self.config(arch)
        depth = config["layers"]
        layers = range(1, depth + 1)
        ratios = [config[f"layer{k}.mlp_ratio"] for k in layers]
        return depth, *ratios, *(config[f"layer{k}.heads"] for k in layers), config["width"]


def _times(width: int, ratio: float) -> int:
    return int(width * ratio)
