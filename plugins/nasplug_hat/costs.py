"""What translation transformers cost, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug.contracts.types import Archs, FloatArray, IntArray

if TYPE_CHECKING:
    from nasplug_hat.space import Hat


def costs(space: Hat, archs: Archs) -> dict[str, FloatArray]:
    """`params`, `params_all`, `macs` and `flops_hat` of each, shape (n,); see `Hat`."""
    genes = np.asarray(archs, np.int64).reshape(-1, len(space.variables))
    values = {
        variable.name: np.array(variable.options)[column]
        for variable, column in zip(space.variables, genes.T, strict=True)
    }
    source, target, inner = space.source_length, space.target_length, space.qkv
    wide, narrow = values["encoder.embedding"], values["decoder.embedding"]
    params = np.zeros(len(genes), np.int64)
    macs = np.zeros(len(genes), np.int64)
    other = source * wide + target * narrow  # the scaling of embeddings
    for k in range(1, max(space.encoder_layers) + 1):
        on = values["encoder.layers"] >= k
        ffn = values[f"encoder.layer{k}.ffn"]
        params += on * (_attention(wide, wide, inner) + _mlp(wide, ffn) + 2 * _norm(wide))
        macs += on * (source * (4 * inner * wide + 2 * wide * ffn) + 2 * source * source * inner)
        other += on * (2 * source * wide + source * inner)
    for k in range(1, max(space.decoder_layers) + 1):
        on = values["decoder.layers"] >= k
        ffn = values[f"decoder.layer{k}.ffn"]
        attended = source * values[f"decoder.layer{k}.encoder_layers"]
        params += on * (
            _attention(narrow, narrow, inner)
            + _attention(narrow, wide, inner)
            + _mlp(narrow, ffn)
            + 3 * _norm(narrow)
        )
        macs += on * (
            target * (6 * inner * narrow + 2 * narrow * ffn)
            + attended * 2 * inner * wide
            + 2 * target * (target + attended) * inner
        )
        other += on * (3 * target * narrow + 2 * target * inner)
    if space.pre_norm:
        params += _norm(wide) + _norm(narrow)
    tables = space.source_vocabulary * wide + 2 * space.target_vocabulary * narrow
    if space.shared_embeddings:
        table = space.target_vocabulary
        tables = table * narrow + np.where(wide == narrow, 0, table * wide)
    output = target * narrow * space.target_vocabulary
    found: dict[str, IntArray] = {
        "params": params,
        "params_all": params + tables,
        "macs": macs + output,
        "flops_hat": 2 * (macs + other),
    }
    return {name: column.astype(float) for name, column in found.items()}


def _attention(width: Any, memory: Any, inner: int) -> Any:
    """Four projections with their biases: queries and result of `width`, keys and values of `memory`."""
    return 2 * inner * width + 2 * inner * memory + 3 * inner + width


def _mlp(width: Any, ffn: Any) -> Any:
    return 2 * width * ffn + ffn + width


def _norm(width: Any) -> Any:
    return 2 * width
