"""Distances and products of features, a whole batch at once.

scikit-learn's support vectors are summed one by one; on a batch of thousands a matrix product is
twenty times as fast.
"""

from __future__ import annotations

import numpy as np

from nasplug.contracts.types import FloatArray


def squared_distances(
    a: FloatArray, b: FloatArray, products: FloatArray | None = None
) -> FloatArray:
    """Squared Euclidean distance of every row of `a` to every row of `b`, shape (len(a), len(b)).

    Of masked one-hot features it is the number of variables that differ, twice where both take part.
    `products` is a @ b.T, where that is at hand.
    """
    distances = -2.0 * (a @ b.T if products is None else products)
    distances += np.einsum("ij,ij->i", a, a)[:, None]
    distances += np.einsum("ij,ij->i", b, b)
    return np.maximum(distances, 0.0, out=distances)


def rbf(a: FloatArray, b: FloatArray, gamma: float) -> FloatArray:
    """exp(-gamma * squared distance), shape (len(a), len(b))."""
    kernel = squared_distances(a, b)
    kernel *= -gamma
    return np.exp(kernel, out=kernel)
