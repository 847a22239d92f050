"""How many measurements a search needs: hypervolume against measurements, for many seeds.

python examples/benchmarks/sample_efficiency.py --box top1=70:78 macs=600e6:100e6 \
    --search linas --search nsga2@2000 --search "calm = linas strategy.optimism=0" -- \
    +space=ofa_mbv3 evaluator=recorded "evaluator.results=[a.csv,b.csv]"

`--box` says of each objective reference:ideal. A search is [LABEL =] STRATEGY[@BUDGET] [OVERRIDES];
what follows `--` is what `python -m nasplug` would get, objectives and constraints included. Writes
curves.csv, to which the same command adds what is missing, table.md, and curves.png.
"""

import argparse
import csv
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt

from nasplug import search
from nasplug.app.command_line.overrides import compose
from nasplug.app.components import measuring
from nasplug.plugins.building import build
from nasplug.toolkit.searching import pareto

BASELINE, MARKS = "nsga2", (100, 250, 500, 1000, 2000)
SHOWN = (15, 25, 30, 50, 75, 80, 100, 150, 250, 500, 1000, 2000)
Curves = dict[str, dict[int, dict[int, float]]]
"""Label, seed, measurements, hypervolume."""


class Search(NamedTuple):
    """One of the searches to compare."""

    label: str
    choice: str
    budget: int
    overrides: list[str]


def parse(text: str, budget: int) -> Search:
    """A search as the command line says it."""
    label, _, rest = text.rpartition(" = ")
    word, *overrides = rest.split()
    choice, _, own = word.partition("@")
    return Search(label.strip() or choice, choice, int(own or budget), overrides)


def box(entries: list[str], names: list[str], signs: list[int]) -> tuple[Any, Any]:
    """Reference and ideal of `names`, as losses, each of shape (objectives,)."""
    ends = dict(entry.split("=") for entry in entries)
    pairs = np.array([[float(x) for x in ends[name].split(":")] for name in names])
    return (pairs[:, 0] * signs, pairs[:, 1] * signs)


def measure(what: Search, seed: int, common: list[str], entries: list[str]) -> list[list[Any]]:
    """Rows of curves.csv: the hypervolume as the search went, and the seconds it computed itself."""
    cfg = compose(f"+strategy={what.choice}", f"seed={seed}", *common, *what.overrides)
    parts, strategy = measuring(cfg), build(cfg.strategy)
    begin = time.process_time()
    run = search(
        parts.space,
        parts.evaluator,
        strategy,
        list(cfg.objectives) if cfg.objectives else None,
        what.budget,
        constraints={name: dict(limits) for name, limits in cfg.constraints.items()},
        task=parts.task,
        seed=seed,
    )
    seconds = time.process_time() - begin
    goals = run.problem.objectives
    reference, ideal = box(entries, [o.name for o in goals], [o.sign for o in goals])
    losses = run.losses()
    rows = np.array(
        [
            [getattr(r.outcome, "values", {}).get(n, np.nan) for n in run.problem.metrics]
            for r in run.records
        ]
    )
    losses[run.problem.violation(rows) > 0] = np.nan
    steps = [n for n in range(5, len(losses) + 1) if n % 5 == 0 or n == len(losses)]
    return [
        [
            what.label,
            seed,
            n,
            round(pareto.hypervolume(losses[:n], reference, ideal), 6),
            round(seconds, 2),
        ]
        for n in steps
        if n <= 500 or n % 50 == 0
    ]


def load(path: Path) -> Curves:
    """What curves.csv holds."""
    curves: Curves = {}
    with path.open(newline="") as file:
        for label, seed, n, volume, _ in list(csv.reader(file))[1:]:
            curves.setdefault(label, {}).setdefault(int(seed), {})[int(n)] = float(volume)
    return curves


def quartiles(runs: dict[int, dict[int, float]]) -> tuple[list[int], Any]:
    """Numbers of measurements that all seeds have, and the quartiles there, shape (k, 3)."""
    steps = sorted(set.intersection(*(set(run) for run in runs.values())))
    volumes = [[run[n] for n in steps] for run in runs.values()]
    return steps, np.percentile(volumes, [25, 50, 75], axis=0).T


def table(curves: Curves) -> str:
    """Medians, then the measurements needed to reach the baseline's, in Markdown."""
    shown = [n for n in SHOWN if any(n in quartiles(runs)[0] for runs in curves.values())]
    lines = ["| median hypervolume at | " + " | ".join(map(str, shown)) + " |"]
    lines.append("|---" * (len(shown) + 1) + "|")
    for label, runs in curves.items():
        steps, spread = quartiles(runs)
        median = dict(zip(steps, spread[:, 1], strict=True))
        cells = [f"{median[n]:.4f}" if n in median else "" for n in shown]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    if BASELINE not in curves:
        return "\n".join(lines) + "\n"
    steps, spread = quartiles(curves[BASELINE])
    goals = {n: spread[steps.index(n), 1] for n in MARKS if n in steps}
    lines += ["", f"| needed to reach {BASELINE} at | " + " | ".join(map(str, goals)) + " |"]
    lines.append("|---" * (len(goals) + 1) + "|")
    for label, runs in curves.items():
        steps, spread = quartiles(runs)
        first = [
            next((str(n) for n, v in zip(steps, spread[:, 1], strict=True) if v >= goal), "-")
            for goal in goals.values()
        ]
        lines.append(f"| {label} | " + " | ".join(first) + " |")
    return "\n".join(lines) + "\n"


def draw(curves: Curves, path: Path) -> None:
    """Median and quartiles of each search."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for label, runs in curves.items():
        steps, spread = quartiles(runs)
        (line,) = axes.plot(steps, spread[:, 1], label=label)
        axes.fill_between(steps, spread[:, 0], spread[:, 2], alpha=0.2, color=line.get_color())
    axes.set(xscale="log", xlabel="measurements", ylabel="hypervolume (median, quartiles)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Run what is missing, then write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--search", action="append", required=True)
    parser.add_argument("--box", nargs="+", required=True, help="NAME=REFERENCE:IDEAL")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int, default=250)
    parser.add_argument("--out", type=Path, default=Path("runs/sample_efficiency"))
    parser.add_argument("common", nargs="*", help="overrides of nasplug, after --")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "curves.csv"
    if not path.exists():
        path.write_text("search,seed,measurements,hypervolume,seconds\n")
    for seed in range(options.seeds):
        for what in (parse(text, options.budget) for text in options.search):
            if not re.search(rf"^{re.escape(what.label)},{seed},", path.read_text(), re.M):
                rows = measure(what, seed, options.common, options.box)
                with path.open("a", newline="") as file:
                    csv.writer(file, lineterminator="\n").writerows(rows)
                print(f"{what.label} seed {seed}: {rows[-1][3]} after {rows[-1][2]}", flush=True)
    curves = load(path)
    (options.out / "table.md").write_text(table(curves))
    draw(curves, options.out / "curves.png")
    print(table(curves))


if __name__ == "__main__":
    main()
