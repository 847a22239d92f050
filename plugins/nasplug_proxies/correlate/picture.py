"""correlations.png: the target against each score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nasplug.contracts.types import FloatArray
from nasplug_proxies.correlate.statistics import Correlation


def draw(
    columns: Mapping[str, FloatArray], found: Sequence[Correlation], target: str, path: Path
) -> None:
    """The target against each score, the best-correlated first."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide = min(len(found), 4)
    high = -(-len(found) // wide)
    figure = Figure(figsize=(3.2 * wide, 2.8 * high), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(high, wide, squeeze=False, sharey=True).ravel()
    for axes, one in zip(panels, found, strict=False):
        x = columns[one.score]
        axes.scatter(x, columns[target], s=9, alpha=0.5, linewidths=0)
        seen = x[np.isfinite(x)]
        if len(seen) and seen.min() > 0 and seen.max() / seen.min() > 100:
            axes.set_xscale("log")
        axes.set_title(f"{one.score}: Spearman {one.spearman:.2f}", fontsize=10)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    figure.supylabel(target, fontsize=10)
    figure.savefig(path, dpi=150)
