"""How good predictors get with the number of training examples: the DyNAS-T paper's Figure 3.

python examples/benchmarks/predictors.py --predictor ridge --predictor svr --predictor stacked \
    --predictor auto -- +space=ofa_mbv3 evaluator=recorded "evaluator.results=[a.csv,b.csv]"

In each trial the recorded architectures are shuffled; the predictor learns from the first 100, 250,
500, 1,000, and the last 500 test it, or all that it has not seen, if that is fewer. Reports the mean
absolute percentage error and Kendall's tau, means over the trials. Writes errors.csv, table.md and
errors.png.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from nasplug_tables.recorded.recordings import read
from scipy.stats import kendalltau

from nasplug.app.command_line.overrides import compose
from nasplug.app.components import measuring
from nasplug.plugins.building import build

Row = tuple[str, int, float, float]
"""Predictor, training examples, error (%), tau."""


HELD, FEWEST = 500, 20
"""Rows that test, at most and at least."""


def trial(predictor: Any, x: Any, y: Any, sizes: list[int], seed: int) -> list[Any]:
    """(examples, error, tau) at each size, for one shuffle."""
    order = np.random.default_rng(seed).permutation(len(y))
    found = []
    for n in sizes:
        train, test = order[:n], order[n:][-HELD:]
        said = predictor.fit(x[train], y[train]).predict(x[test])
        error = 100 * float(np.abs((said - y[test]) / y[test]).mean())
        found.append((n, error, float(kendalltau(said, y[test]).statistic)))
    return found


def describe(space: Any, archs: Any, with_costs: bool) -> Any:
    """Features of shape (n, f): the masked one-hot, or what `linas` shows its predictors."""
    if not with_costs:
        return space.features(archs)
    from nasplug_strategies.linas.features import Features

    return Features(space, np.random.default_rng(0))(archs, space.costs(archs))


def draw(rows: list[Row], path: Path) -> None:
    """Error and tau against the number of examples."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for name in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == name]
        for k, panel in enumerate(panels):
            panel.plot([r[1] for r in mine], [r[2 + k] for r in mine], marker="o", label=name)
    panels[0].set(xlabel="training examples", ylabel="mean absolute error (%)")
    panels[1].set(xlabel="training examples", ylabel="Kendall's tau")
    panels[1].legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """All predictors, all sizes, all trials."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--predictor", action="append", required=True)
    parser.add_argument("--metric", default=None, help="by default the evaluator's main one")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 250, 500, 1000])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument(
        "--cost-features", action="store_true", help="linas's features, not the one-hot"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/predictors"))
    parser.add_argument("common", nargs="*", help="overrides of nasplug, after --")
    options = parser.parse_args()
    cfg = compose("+strategy=random", *options.common)
    parts = measuring(cfg)
    metric = options.metric or next(iter(parts.evaluator.metrics))
    recorded = read(list(cfg.evaluator.results), parts.space)
    archs = [arch for arch, values in recorded.items() if metric in values]
    x = describe(parts.space, archs, options.cost_features)
    y = np.array([recorded[arch][metric] for arch in archs])
    sizes = sorted({min(n, len(y) - FEWEST) for n in options.sizes})
    rows: list[Row] = []
    for name in options.predictor:
        predictor = build(compose(f"+predictor={name}").predictor)
        trials = [trial(predictor, x, y, sizes, seed) for seed in range(options.trials)]
        rows += [(name, int(n), error, tau) for n, error, tau in np.mean(trials, axis=0).tolist()]
    lines = ["| predictor | " + " | ".join(f"{n}: error, tau" for n in sizes) + " |"]
    lines.append("|---" * (len(sizes) + 1) + "|")
    for name in options.predictor:
        cells = [f"{r[2]:.3f} %, {r[3]:.3f}" for r in rows if r[0] == name]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "errors.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("predictor", "examples", "error", "tau"), *rows])
    (options.out / "table.md").write_text("\n".join(lines) + "\n")
    draw(rows, options.out / "errors.png")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
