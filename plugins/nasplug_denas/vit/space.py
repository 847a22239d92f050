"""The search space of elastic vision transformers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Annotated, Any, final

import numpy as np
import torch
from torch import nn

from nasplug import Architecture, NasplugError, PositiveFloat, PositiveInt, Range
from nasplug.contracts.types import Archs, FloatArray
from nasplug.elastic import (
    Choice,
    Derived,
    ElasticConv2d,
    ElasticLayerNorm,
    ElasticLinear,
    ElasticMLP,
    ElasticMultiheadAttention,
    ElasticSequential,
    ElasticSpace,
    Sized,
)
from nasplug.toolkit.elastic.options import require_options
from nasplug_denas.vit import published
from nasplug_denas.vit.layers import ElasticPatchTokens, EncoderLayer, PatchDistances
from nasplug_denas.vit.network import VisionTransformer, initialise

Options = tuple[PositiveInt, ...] | list[PositiveInt]
Ratios = tuple[PositiveFloat, ...] | list[PositiveFloat]
CLASSES, SIZE, CHANNELS = 10, 224, 3
"""Where neither the user nor a task says: those of DE-NAS's search."""


@final
class DenasVit(ElasticSpace):
    """Vision transformers of elastic depth and width, and heads and MLP ratio of each layer.

    DE-NAS searches the space of Chen et al., AutoFormer: Searching Transformers for Visual Recognition,
    ICCV 2021, whose super-network entangles the weights: a narrow layer is the leading part of
    a wide one. Every head has `head_dim` channels, so that fewer heads cost less. An MLP's inner
    width is its ratio times the embedding, rounded down.

    Args:
        num_classes: Outputs; None: as the task says, without one 10.
        image_size: Height and width in pixels; None: as the task says, without one 224.
        in_channels: Channels of the images; None: as the task says, without one 3.
        patch_size: Height and width of a patch in pixels; None: a quarter of the image's.
        depth: Options of the number of layers.
        embedding: Options of the width of tokens.
        heads: Options of the heads of each layer.
        mlp_ratio: Options of each layer's inner MLP width, relative to the embedding.
        head_dim: Channels of a head; published: 64.
        relative_positions: Whether attention sees distances between patches.
        max_distance: The greatest vertical or horizontal one, in patches, that has vectors of its own.
        drop_path: Rate at which a sample leaves out a branch of the last of all layers, in training; it
            rises from 0 at the first.
        initializer_range: Standard deviation of fresh weights; published: 0.02, which suits widths of
            hundreds.
    """

    def __init__(
        self,
        num_classes: PositiveInt | None = None,
        image_size: PositiveInt | None = None,
        in_channels: PositiveInt | None = None,
        patch_size: PositiveInt | None = None,
        depth: Options = (1, 2, 3, 4),
        embedding: Options = (24, 32, 48, 64),
        heads: Options = (1, 2, 3, 4),
        mlp_ratio: Ratios = (1.0, 2.0, 3.0, 4.0),
        head_dim: PositiveInt = 16,
        relative_positions: bool = True,
        max_distance: PositiveInt = 3,
        drop_path: Annotated[float, Range(ge=0, lt=1)] = 0.0,
        initializer_range: PositiveFloat = 0.15,
    ) -> None:
        self.num_classes = num_classes or CLASSES
        self.image_size = image_size or SIZE
        self.in_channels = in_channels or CHANNELS
        self.patch_size = patch_size or max(1, self.image_size // 4)
        self.depth = tuple(depth)
        self.embedding = tuple(embedding)
        self.heads = tuple(heads)
        self.mlp_ratio = tuple(mlp_ratio)
        self.head_dim = head_dim
        self.relative_positions = relative_positions
        self.max_distance = max_distance
        self.drop_path = drop_path
        self.initializer_range = initializer_range
        self._check()

    def _check(self) -> None:
        require_options(self, ("depth", "embedding", "heads", "mlp_ratio"))
        if self.image_size % self.patch_size:
            whole = [p for p in range(1, self.image_size + 1) if self.image_size % p == 0]
            nearest = min(whole, key=lambda p: abs(p - self.patch_size))
            raise NasplugError(
                f"patch_size must divide image_size={self.image_size}, but got {self.patch_size}; take "
                f"space.patch_size={nearest}"
            )
        for width in self.embedding:
            inner = [_inner(width, ratio) for ratio in self.mlp_ratio]
            if min(inner) < 1 or len(set(inner)) < len(inner):
                raise NasplugError(
                    f"mlp_ratio must give distinct inner widths of at least 1, but {self.mlp_ratio} times "
                    f"an embedding of {width} are {inner}"
                )

    # ---- the model -----------------------------------------------------------------------------

    def model(self) -> VisionTransformer:
        """The elastic transformer."""
        width = Choice("embedding", self.embedding)
        layers = [self._layer(k, width) for k in range(1, max(self.depth) + 1)]
        patch = self.patch_size
        return VisionTransformer(
            ElasticConv2d(self.in_channels, width, patch, stride=patch, padding=0),
            ElasticPatchTokens(width, self._patches),
            ElasticSequential(*layers, depth=Choice("depth", self.depth)),
            ElasticLayerNorm(width),
            ElasticLinear(width, self.num_classes),
        )

    def _layer(self, number: int, width: Choice) -> EncoderLayer:
        name, most = f"layer{number}", max(self.depth)
        ratio = Choice(f"{name}.mlp_ratio", self.mlp_ratio)
        attention = ElasticMultiheadAttention(
            width,
            Choice(f"{name}.heads", self.heads),
            self.head_dim,
            fused=True,
            relative=partial(_distances, self.max_distance) if self.relative_positions else None,
        )
        return EncoderLayer(
            attention,
            ElasticMLP(width, Derived(_inner, (width, ratio)), nn.GELU),
            (ElasticLayerNorm(width), ElasticLayerNorm(width)),
            self.drop_path * (number - 1) / max(most - 1, 1),
        )

    def initialise(self, network: nn.Module) -> None:
        """As AutoFormer does."""
        initialise(network, self.initializer_range)

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """One image tensor (batch_size, in_channels, image_size, image_size), always the same."""
        generator = torch.Generator().manual_seed(0)
        size = self.image_size
        return (torch.randn(batch_size, self.in_channels, size, size, generator=generator),)

    @property
    def _patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params` and `macs` (multiply-adds of the convolution, linear layers and attention, with its
        relative positions, of one image), exact, shape (n,)."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self.variables))
        values = {
            variable.name: np.array(variable.options)[column]
            for variable, column in zip(self.variables, genes.T, strict=True)
        }
        width, patches, pixels = values["embedding"], self._patches, self.patch_size**2
        tokens, positions = patches + 1, 0
        if self.relative_positions:
            positions = 4 * (2 * self.max_distance + 2) * self.head_dim
        params = pixels * self.in_channels * width + width + (tokens + 1) * width
        macs = pixels * self.in_channels * width * patches
        for k in range(1, max(self.depth) + 1):
            on = values["depth"] >= k
            inner = self.head_dim * values[f"layer{k}.heads"]
            hidden = (width * values[f"layer{k}.mlp_ratio"]).astype(np.int64)
            attention = 3 * inner * (width + 1) + inner * width + width + positions
            params += on * (4 * width + attention + 2 * width * hidden + hidden + width)
            products = 4 if self.relative_positions else 2
            macs += on * tokens * (4 * inner * width + products * tokens * inner)
            macs += on * tokens * 2 * width * hidden
        params += 2 * width + (width + 1) * self.num_classes
        macs += width * self.num_classes
        return {"params": params.astype(float), "macs": macs.astype(float)}

    # ---- published notation --------------------------------------------------------------------

    def from_denas(self, candidate: Sequence[float] | str) -> Architecture:
        """The architecture of DE-NAS's tuple (depth, MLP ratios, heads, embedding), also as the text of
        its best_model_structure.txt."""
        return self.arch(published.from_denas(candidate))

    def to_denas(self, arch: Architecture) -> published.Candidate:
        """DE-NAS's tuple of `arch`."""
        return published.to_denas(self.config(arch))

    def sample_denas(self, rng: random.Random) -> Architecture:
        """An architecture as DE-NAS draws it, with python's generator: see `published.sample_denas`."""
        return self.from_denas(published.sample_denas(self._options, rng))

    @cached_property
    def _options(self) -> dict[str, Any]:
        """Every variable's options, by name."""
        return {variable.name: variable.options for variable in self.variables}


def _inner(width: int, ratio: float) -> int:
    return int(width * ratio)


def _distances(max_distance: int, heads: Sized, head_dim: Sized) -> PatchDistances:
    assert isinstance(head_dim, int)
    return PatchDistances(head_dim, max_distance)
