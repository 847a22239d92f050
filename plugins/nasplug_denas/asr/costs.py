"""What speech transformers cost, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug.contracts.types import Archs, FloatArray

if TYPE_CHECKING:
    from nasplug_denas.asr.space import DenasAsr


def costs(space: DenasAsr, archs: Archs) -> dict[str, FloatArray]:
    """`params`, `params_all` and `macs` of each, shape (n,); see `DenasAsr`."""
    genes = np.asarray(archs, np.int64).reshape(-1, len(space.variables))
    values = {
        variable.name: np.array(variable.options)[column]
        for variable, column in zip(space.variables, genes.T, strict=True)
    }
    d, u, ffn = values["width"], space.tokens, space.decoder_ffn
    front_params, front_macs, t, inputs = front_end(space)
    params = (inputs + 1) * d + 2 * d
    macs = front_macs + t * inputs * d
    for k in range(1, max(space.layers) + 1):
        on = values["layers"] >= k
        inner = (values[f"layer{k}.mlp_ratio"] * d).astype(np.int64)
        params = params + on * (_attention(d) + _mlp(d, inner) + 4 * d)
        macs = macs + on * (t * (4 * d * d + 2 * d * inner) + 2 * t * t * d)
    heads = (d + 1) * space.outputs
    macs = macs + (1 if space.num_classes else t) * d * space.outputs
    if space.decodes:
        layer = 2 * _attention(d) + _mlp(d, ffn) + 6 * d
        params = params + space.decoder_layers * layer + 2 * d + space.outputs * d
        heads = 2 * heads
        products = 2 * (u * u + u * t) * d
        rows = u * (6 * d * d + 2 * d * ffn) + 2 * t * d * d
        macs = macs + space.decoder_layers * (rows + products) + u * d * space.outputs
    found = {"params": params, "params_all": params + heads + front_params, "macs": macs}
    return {name: column.astype(float) for name, column in found.items()}


def front_end(space: DenasAsr) -> tuple[int, int, int, int]:
    """Parameters and multiply-adds of the front-end, the frames that it leaves, and its features."""
    params = macs = 0
    width, t, bands = 1, space.frames, space.mels
    for size, stride in zip(space.kernel_sizes, space.strides, strict=True):
        weights = width * space.channels * size * size
        t, bands, width = -(-t // stride), -(-bands // stride), space.channels
        params += weights + width + 2 * width * bands
        macs += weights * t * bands
    return params, macs, t, width * bands


def _attention(d: Any) -> Any:
    """Four projections with their biases."""
    return 4 * d * d + 4 * d


def _mlp(d: Any, inner: Any) -> Any:
    return 2 * d * inner + inner + d
