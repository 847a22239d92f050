"""What BERT costs, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasplug.contracts.types import Archs, FloatArray

if TYPE_CHECKING:
    from nasplug_denas.bert.space import DenasBert


def costs(space: DenasBert, archs: Archs) -> dict[str, FloatArray]:
    """`params`, `params_encoder` and `macs` of each, shape (n,); see `DenasBert`.

    Per layer of width d, projections of q channels and an MLP of f: 3 (d q + q) + q d + d for
    attention, 2 d f + f + d for the MLP, 4 d for the two norms.
    """
    genes = np.asarray(archs, np.int64).reshape(-1, len(space.variables))
    values = {
        variable.name: np.array(variable.options)[column]
        for variable, column in zip(space.variables, genes.T, strict=True)
    }
    layers, d, f = (values[name] for name in ("layers", "hidden", "ffn"))
    q = values["qkv"] if space.qkv is not None else space.head_dim * values["heads"]
    tokens = space.tokens
    rows = space.vocabulary + space.max_length + space.token_types
    layer = 3 * (d * q + q) + q * d + d + 2 * d * f + f + d + 4 * d
    encoder = rows * d + 2 * d + layers * layer
    macs = layers * (tokens * (4 * d * q + 2 * d * f) + 2 * tokens * tokens * q)
    if space.token_outputs is None:
        encoder = encoder + d * d + d  # the pooler
        macs = macs + d * d
    head = (d + 1) * space.outputs
    applied = 1 if space.token_outputs is None else tokens
    macs = macs + applied * d * space.outputs
    found = {"params": encoder + head, "params_encoder": encoder, "macs": macs}
    return {name: column.astype(float) for name, column in found.items()}
