"""The ten numbers by which latency predictors know a transformer."""

from __future__ import annotations

from typing import final

import numpy as np

from nasplug import NasplugError, SearchSpace
from nasplug.contracts.types import Archs, FloatArray

NORM = np.array([640.0, 6, 2048, 6, 640, 6, 2048, 6, 6, 2])
"""What each feature is divided by, the same for all published predictors."""

NAMES = (
    "encoder_embed_dim",
    "encoder_layer_num",
    "encoder_ffn_embed_dim_avg",
    "encoder_self_attention_heads_avg",
    "decoder_embed_dim",
    "decoder_layer_num",
    "decoder_ffn_embed_dim_avg",
    "decoder_self_attention_heads_avg",
    "decoder_ende_attention_heads_avg",
    "decoder_arbitrary_ende_attn_avg",
)
"""The features as the published files of measurements call them, in order."""

MEANS = {
    "encoder": ("ffn", "heads"),
    "decoder": ("ffn", "self_attention.heads", "cross_attention.heads", "encoder_layers"),
}
"""Of each half, what layers have: a feature is its mean over the layers that are active."""


@final
class Features:
    """Architectures of a space to the features of HAT's latency predictors, exact.

    Embedding width and number of layers of the encoder, then the means over its layers of the inner
    width and of the heads; the same of the decoder, with heads of self-attention, heads of
    cross-attention, and how many encoder layers are attended to. Wang et al., "HAT: Hardware-Aware
    Transformers for Efficient Natural Language Processing", ACL 2020, section 3.2.

    Args:
        space: has `encoder.embedding`, `encoder.layers`, `encoder.layer1.ffn`,
            `encoder.layer1.heads`, .., `decoder.layer1.encoder_layers`, each a number.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._place = {v.name: i for i, v in enumerate(space.variables)}
        self._options = {v.name: v.options for v in space.variables}
        missing = [n for n in ("encoder.layers", "decoder.layers") if n not in self._place]
        wanted = [] if missing else [name for half in MEANS for name in self._names(half)]
        missing += [name for name in wanted if name not in self._place]
        if missing:
            raise NasplugError(
                "hat_latency needs a space of hardware-aware transformers, but "
                f"{type(space).__name__} has no design variable {missing[0]!r}; type e.g. "
                "+space=hat_wmt14ende"
            )
        self._values = {name: np.array(self._options[name], float) for name in wanted}

    def _names(self, half: str) -> list[str]:
        layers = range(1, int(max(self._options[f"{half}.layers"])) + 1)
        parts = [f"{half}.layer{k}.{part}" for part in MEANS[half] for k in layers]
        return [f"{half}.embedding", f"{half}.layers", *parts]

    def __call__(self, archs: Archs) -> FloatArray:
        """Features of n architectures, shape (n, 10), in the units of `NAMES`, not divided by `NORM`."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self._place))
        columns = []
        for half, parts in MEANS.items():
            depth = self._column(genes, f"{half}.layers")
            columns += [self._column(genes, f"{half}.embedding"), depth]
            layers = range(1, int(max(self._options[f"{half}.layers"])) + 1)
            active = np.array(layers)[:, None] <= depth
            for part in parts:
                each = [self._column(genes, f"{half}.layer{k}.{part}") for k in layers]
                columns.append((np.array(each) * active).sum(axis=0) / depth)
        return np.column_stack(columns)

    def _column(self, genes: np.ndarray, name: str) -> FloatArray:
        column: FloatArray = self._values[name][genes[:, self._place[name]]]
        return column

    @property
    def range(self) -> tuple[FloatArray, FloatArray]:
        """The least and the greatest value of each feature that the space can have, each (10,)."""
        ends = []
        for choose in (min, max):
            found = []
            for half, parts in MEANS.items():
                found += [
                    choose(self._values[f"{half}.{what}"]) for what in ("embedding", "layers")
                ]
                for part in parts:
                    layered = [
                        values
                        for name, values in self._values.items()
                        if name.startswith(f"{half}.layer") and name.endswith(f".{part}")
                    ]
                    found.append(choose(np.concatenate(layered)))
            ends.append(np.array(found, float))
        return ends[0], ends[1]
