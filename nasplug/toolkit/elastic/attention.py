"""Multi-head attention, plain and elastic: self and cross, fused and separate, with positions and masks."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasplug.contracts.errors import NasplugError
from nasplug.toolkit.elastic.dense import ElasticLinear
from nasplug.toolkit.elastic.layer import Count, Elastic, is_tracing
from nasplug.toolkit.elastic.sizes import Derived, Own, Size, Sized, concat, flatten, total


class Relative(Protocol):
    """Relative positions in attention: what they add to the scores, and to the values.

    `products` is how many products of attention's size that takes.
    """

    products: int

    def scores(self, queries: Tensor, keys: int) -> Tensor:
        """For queries (n, heads, q, d), what is added to the scaled scores, (n or 1, heads, q, keys)."""

    def values(self, weights: Tensor) -> Tensor | None:
        """For weights (n, heads, q, k), what is added to the result (n, heads, q, d); None: nothing."""


class MultiheadAttention(nn.Module):
    """Scaled dot-product attention (Vaswani et al., Attention Is All You Need, 2017).

    `forward` is `attend(*project(query, memory), ..)`; a decoder with a cache calls the two itself, and
    joins the keys and values of earlier positions to new ones, along axis 2.

    Args:
        projections: `in_proj` (fused: queries, keys and values of one input) or `q_proj`, `k_proj` and
            `v_proj`; and `out_proj`.
        num_heads: Heads among which the projections' channels are divided.
        dropout: Rate on the attention weights, in training.
        relative: Relative positions, or None.
    """

    in_proj: Any
    q_proj: Any
    k_proj: Any
    v_proj: Any
    out_proj: Any

    def __init__(
        self,
        projections: Mapping[str, nn.Module],
        num_heads: int,
        dropout: float = 0.0,
        relative: nn.Module | None = None,
    ) -> None:
        super().__init__()
        for name, layer in projections.items():
            self.add_module(name, layer)
        self.num_heads = self.heads = num_heads
        self.dropout = dropout
        self.relative = relative

    def extra_repr(self) -> str:
        """The heads, which no weight's shape shows."""
        return f"heads={self.heads}"

    def project(self, query: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of `query` (n, q, d), keys and values of `memory` (n, k, d'; None: of `query`).

        Each (n, heads, length, channels a head).
        """
        if "in_proj" in self._modules:
            if memory is not None and memory is not query:
                raise NasplugError("a fused projection attends to its own input: use fused=False")
            queries, keys, values = self.in_proj(query).chunk(3, dim=-1)
        else:
            memory = query if memory is None else memory
            queries, keys, values = (
                self.q_proj(query),
                self.k_proj(memory),
                self.v_proj(memory),
            )
        return self.split(queries), self.split(keys), self.split(values)

    def split(self, x: Tensor) -> Tensor:
        """(n, length, channels) -> (n, heads, length, channels a head)."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def attend(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        key_padding_mask: Tensor | None = None,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The projected mixture of the values, (n, q, d); masks as in `forward`."""
        mask = self._mask(queries, keys, key_padding_mask, attn_mask, is_causal)
        rate = self.dropout if self.training else 0.0
        relative = cast("Relative | None", self.relative)
        # What traces a network to count it sees the two products, not one fused operation.
        if relative is None and not is_tracing():
            mixed = functional.scaled_dot_product_attention(queries, keys, values, mask, rate)
        else:
            scores = queries @ keys.transpose(-2, -1) * queries.shape[-1] ** -0.5
            if relative is not None:
                scores = scores + relative.scores(queries, keys.shape[2])
            if mask is not None:
                scores = scores + mask
            weights = functional.dropout(scores.softmax(-1), rate, self.training)
            mixed = weights @ values
            added = None if relative is None else relative.values(weights)
            mixed = mixed if added is None else mixed + added
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _mask(
        self,
        queries: Tensor,
        keys: Tensor,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        is_causal: bool,
    ) -> Tensor | None:
        """What is added to the scores: 0 or minus infinity."""
        hidden = attn_mask
        if is_causal:
            n_q, n_k = queries.shape[2], keys.shape[2]
            ahead = torch.ones(n_q, n_k, dtype=torch.bool, device=queries.device)
            ahead = ahead.triu(n_k - n_q + 1)  # the last query sees all
            hidden = ahead if hidden is None else hidden | ahead
        if key_padding_mask is not None:
            padding = key_padding_mask[:, None, None, :]
            hidden = padding if hidden is None else hidden | padding
        if hidden is None:
            return None
        return torch.zeros_like(hidden, dtype=queries.dtype).masked_fill(hidden, float("-inf"))

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """(n, q, d) -> (n, q, d).

        `memory`, (n, k, d'), is what is attended to; None: `query` itself. `key_padding_mask`, (n, k),
        and `attn_mask`, (q, k) or (n, heads, q, k), are true where a key is not to be seen, as in torch;
        every query must see one. `is_causal`: no query sees a later key.
        """
        return self.attend(*self.project(query, memory), key_padding_mask, attn_mask, is_causal)


@final
class ElasticMultiheadAttention(Elastic, MultiheadAttention):
    """Attention of elastic width, number of heads, and channels a head.

    With `head_dim`, fewer heads are the leading ones, of the same channels each. With `qkv_dim`, or
    neither, the projections' channels are divided anew among the active heads.

    Args:
        embed_dim: Width of inputs and outputs: a number, or a size that variables decide.
        num_heads: Heads, likewise.
        head_dim: Channels of a head, a number; or None.
        qkv_dim: Channels of all heads together, a number or a size; None: `embed_dim`.
        kv_dim: Width of `memory`, a number or a size; None: `embed_dim`.
        fused: One layer, `in_proj`, for queries, keys and values of one input.
        bias: Of the projections.
        dropout: Rate on the attention weights, in training.
        relative: Makes relative positions for the heads and the channels a head; or None.

    >>> ElasticMultiheadAttention(64, heads, 16, relative=partial(ElasticRelativeBias, max_distance=8))
    """

    KIND = MultiheadAttention

    def __init__(
        self,
        embed_dim: Sized,
        num_heads: Sized,
        head_dim: int | None = None,
        qkv_dim: Sized | None = None,
        kv_dim: Sized | None = None,
        fused: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        relative: Callable[[Sized, Sized], nn.Module] | None = None,
    ) -> None:
        if head_dim is not None and qkv_dim is not None:
            raise NasplugError(
                f"head_dim or qkv_dim must be None, but got {head_dim} and {qkv_dim}"
            )
        if fused and kv_dim is not None:
            raise NasplugError("a fused projection has one input: use fused=False with kv_dim")
        heads = Own(num_heads) if isinstance(num_heads, Size) else num_heads
        if head_dim is not None:
            inner = flatten(heads, head_dim)
        else:
            inner = embed_dim if qkv_dim is None else qkv_dim
            inner = Own(inner, sortable=False) if isinstance(inner, Size) else inner
        memory = embed_dim if kv_dim is None else kv_dim
        projections: dict[str, nn.Module] = (
            {"in_proj": ElasticLinear(embed_dim, concat(inner, inner, inner), bias)}
            if fused
            else {
                "q_proj": ElasticLinear(embed_dim, inner, bias),
                "k_proj": ElasticLinear(memory, inner, bias),
                "v_proj": ElasticLinear(memory, inner, bias),
            }
        )
        projections["out_proj"] = ElasticLinear(inner, embed_dim, bias)
        divided = [s for s in (inner, heads) if isinstance(s, Size)]
        a_head = head_dim or (
            Derived(operator.floordiv, (inner, heads)) if divided else total(inner) // total(heads)
        )
        positions = None if relative is None else relative(heads, a_head)
        super().__init__(projections, total(heads), dropout, positions)
        self.declare(num_heads=heads, qkv_dim=inner)
        self.head_dim, self.fused = head_dim, fused
        self.qkv_dim = total(inner)
        self._check(self.num_heads, self.qkv_dim)

    def activate(
        self,
        embed_dim: int | None = None,
        num_heads: int | None = None,
        qkv_dim: int | None = None,
        kv_dim: int | None = None,
    ) -> None:
        """Use the leading channels and heads; `kv_dim` None: as `embed_dim`.

        With `head_dim`, `qkv_dim` follows from the heads and is not given.
        """
        inner = qkv_dim
        if self.head_dim is not None and num_heads is not None:
            inner = num_heads * self.head_dim
        self.follow(num_heads=num_heads, qkv_dim=inner)
        if self.fused:
            joined = None if inner is None else (inner,) * 3
            self.in_proj.activate(embed_dim, joined)
        else:
            self.q_proj.activate(embed_dim, inner)
            self.k_proj.activate(embed_dim if kv_dim is None else kv_dim, inner)
            self.v_proj.activate(embed_dim if kv_dim is None else kv_dim, inner)
        self.out_proj.activate(inner, embed_dim)
        if isinstance(self.relative, Elastic):
            head_dim = (self.qkv_dim if inner is None else inner) // self.heads
            self.relative.follow(num_heads=num_heads, head_dim=head_dim)

    def follow(self, **sizes: Any) -> None:
        """Set the number of heads; the projections are activated on their own."""
        heads, inner = sizes.get("num_heads"), sizes.get("qkv_dim")
        heads = self.num_heads if heads is None else heads
        self._check(heads, self.qkv_dim if inner is None else inner)
        self.heads = heads

    def _check(self, heads: int, inner: int) -> None:
        if not 1 <= heads <= self.num_heads or inner % heads:
            raise NasplugError(
                f"the active heads must be 1 to {self.num_heads} and divide the {inner} channels of the "
                f"projections, but got {heads}"
            )

    def attributes(self, parts: Mapping[str, Tensor]) -> dict[str, Any]:
        """The heads."""
        return {"num_heads": self.heads, "heads": self.heads}

    def positions(self, inputs: tuple[Any, ...], keywords: Mapping[str, Any], output: Any) -> int:
        """Pairs of a query and a key."""
        given = dict(zip(("query", "memory"), inputs, strict=False)) | dict(keywords)
        query, memory = given["query"], given.get("memory")
        memory = query if memory is None else memory
        return int(query.shape[0] * query.shape[1] * memory.shape[1])

    def macs(self, sizes: Mapping[str, Count], positions: int) -> Count:
        """Those of the two products and of relative positions; projections are layers of their own."""
        products = 2 + getattr(self.relative, "products", 0)
        return sizes["qkv_dim"] * (products * positions)
