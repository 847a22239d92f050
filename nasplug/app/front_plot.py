"""The picture of a run: everything measured, and the front."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nasplug.app.run import Run
    from nasplug.contracts.types import Objective


def plot_front(run: Run, path: Path) -> None:
    """Write a scatter of each pair (first objective, another one): points coloured by the order
    they were asked in, the measured Pareto set of all objectives joined up where there are two."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    main, *others = run.problem.objectives
    table, mask = run.metrics_table(), run.front_mask()
    figure = Figure(figsize=(6.4 * len(others), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, other in zip(figure.subplots(1, len(others), squeeze=False)[0], others, strict=True):
        ok = (table["status"] == "ok").to_numpy() & ~mask
        points = axes.scatter(
            table[other.name][ok], table[main.name][ok], c=table["number"][ok],
            cmap="viridis", s=22, alpha=0.75, linewidths=0, vmin=0, vmax=max(len(table) - 1, 1),
        )  # fmt: skip
        front = table[mask].sort_values(other.name)
        line = "-" if len(others) == 1 else ""
        steps = "steps-post" if other.direction == "minimize" else "steps-pre"
        axes.plot(
            front[other.name], front[main.name], linestyle=line, drawstyle=steps, color="#c1272d",
            linewidth=1.4, marker="o", markersize=5.5, markeredgecolor="white", markeredgewidth=0.6, zorder=3,
            label=f"measured front ({int(mask.sum())})",
        )  # fmt: skip
        axes.set_xlabel(_label(other))
        axes.set_ylabel(_label(main))
        if len(table) and (spread := table[other.name][ok | mask]).min() > 0:
            wide = spread.max() / spread.min() > 30
            axes.set_xscale("log" if wide else "linear")
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="best")
    figure.colorbar(points, ax=figure.axes, label="order of measurement", pad=0.01)
    failed = int(np.sum(table["status"] == "failed"))
    title = run.folder.name if run.folder else "search"
    figure.suptitle(
        f"{title}: {len(table)} measured" + (f", {failed} failed" if failed else ""), fontsize=11
    )
    figure.savefig(path, dpi=150, format="png")


def _label(objective: Objective) -> str:
    arrow = "lower is better" if objective.direction == "minimize" else "higher is better"
    unit = f" [{objective.unit}]" if objective.unit else ""
    return f"{objective.name}{unit}, {arrow}"
