"""How few measurements a search needs on NAS-Bench-201, with zero-cost warm-up and moves.

python examples/benchmarks/nb201_search.py --table nb201.csv.gz --seeds 100

The table has the benchmark's architecture strings in `arch`, and a column for the accuracy that is
searched for and one for the accuracy that is reported at the best of the first. Each of the 6,466
distinct cells is scored once, and kept (evaluators.proxies.cache). Writes curves.csv, to which the same
command adds what is missing, table.md and curves.png.
"""

import argparse
import csv
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt

from nasplug import Objective, Problem, make
from nasplug.contracts.types import full_trials

SHOWN = (10, 20, 30, 40, 50, 75, 100, 150, 200, 300)
GOAL = 73.2
MEMBERS = ["synflow", "meco"]
"""What the aggregate, rank_mean, is made of here."""


class Search(NamedTuple):
    """A strategy with its settings, and what leads it: (proxy, pool) and (proxy, candidates)."""

    strategy: str
    settings: dict[str, object] = {}
    warmup: tuple[str, int] | None = None
    move: tuple[str, int] | None = None


SMALL = {"pool": 16, "tournament": 5}
SEARCHES = {
    "random": Search("random"),
    "random, warm-up params 3000": Search("random", warmup=("params", 3000)),
    "random, warm-up synflow 1000": Search("random", warmup=("synflow", 1000)),
    "random, warm-up synflow 3000": Search("random", warmup=("synflow", 3000)),
    "random, warm-up synflow, all": Search("random", warmup=("synflow", 15625)),
    "random, warm-up rank_mean 3000": Search("random", warmup=("rank_mean", 3000)),
    "random, moves synflow 100": Search("random", {"batch": 1}, move=("synflow", 100)),
    "aging evolution": Search("aging_evolution"),
    "aging evolution, warm-up params 3000": Search("aging_evolution", warmup=("params", 3000)),
    "aging evolution, warm-up synflow 3000": Search("aging_evolution", warmup=("synflow", 3000)),
    "aging evolution, moves synflow": Search("aging_evolution", move=("synflow", 24)),
    "aging evolution, moves rank_mean": Search("aging_evolution", move=("rank_mean", 24)),
    "small aging evolution, warm-up rank_mean 3000, moves rank_mean": Search(
        "aging_evolution", SMALL, ("rank_mean", 3000), ("rank_mean", 24)
    ),
    "reinforce": Search("reinforce"),
    "reinforce, warm-up synflow 3000": Search("reinforce", warmup=("synflow", 3000)),
    "reinforce, moves synflow 10": Search("reinforce", move=("synflow", 10)),
    "reinforce, moves synflow 100": Search("reinforce", move=("synflow", 100)),
    "bp": Search("bp"),
    "bp, pre-training synflow 256": Search("bp", move=("synflow", 256)),
    "bp, warm-up synflow 3000": Search("bp", warmup=("synflow", 3000)),
}


class Cells:
    """Scores of the benchmark's cells: isomorphic cells share theirs, but for their own size."""

    def __init__(self, cache: str | None, device: str) -> None:
        self.space = make("space", "nasbench201", isomorphic=False)
        self.distinct = make("space", "nasbench201")
        self.proxies = make(
            "evaluator",
            "proxies",
            space=self.distinct,
            cache=cache,
            device=device,
            options={"rank_mean": {"members": MEMBERS}},
        )

    def scores(self, archs, name):  # type: ignore[no-untyped-def]
        """Shape (n,), higher is better."""
        if name == "params":
            return self.space.costs(archs)["params"]
        return self.proxies.scores(self.distinct.valid(archs), name)


def build(what: Search, cells: Cells) -> object:
    """The strategy, wrapped."""
    strategy = make("strategy", what.strategy, **what.settings)
    for choice, led, knob in (("move", what.move, "candidates"), ("warmup", what.warmup, "pool")):
        if led:
            knobs = {"proxy": led[0], knob: led[1]}
            strategy = make("wrapper", choice, strategy=strategy, proxies=cells, **knobs)
    return strategy


def curve(strategy, problem, values, reported, budget):  # type: ignore[no-untyped-def]
    """What is reported of the best so far, after each of `budget` measurements, shape (budget,)."""
    strategy.setup(problem)
    best, shown = -np.inf, []
    while len(shown) < budget and (trials := strategy.ask(budget - len(shown))):
        trials = list(trials)[: budget - len(shown)]
        archs = [trial.arch for trial in trials]
        for arch in archs:
            if values[arch] > best:
                best, report = values[arch], reported[arch]
            shown.append(report)
        strategy.tell(problem.results(trials, np.array([[values[arch]] for arch in archs])))
    return shown


def table(curves: dict[str, dict[int, list[float]]]) -> str:
    """Means over seeds, in Markdown, and the first measurement at which the mean is `GOAL`."""
    lines = [f"| at | {' | '.join(map(str, SHOWN))} | {GOAL} at | seeds |"]
    lines.append("|---" * (len(SHOWN) + 3) + "|")
    for label, runs in curves.items():
        mean = np.mean(list(runs.values()), axis=0)
        cells = [f"{mean[n - 1]:.2f}" if n <= len(mean) else "" for n in SHOWN]
        there = np.flatnonzero(mean >= GOAL)
        first = str(there[0] + 1) if len(there) else "-"
        lines.append(f"| {label} | {' | '.join(cells)} | {first} | {len(runs)} |")
    return "\n".join(lines) + "\n"


def draw(curves: dict[str, dict[int, list[float]]], path: Path) -> None:
    """Mean and quartiles, a panel a strategy."""
    families = list(dict.fromkeys(SEARCHES[label].strategy for label in curves))
    figure, panels = plt.subplots(
        1, len(families), figsize=(4.6 * len(families), 4), sharey=True, layout="constrained"
    )
    for axes, family in zip(np.atleast_1d(panels), families, strict=True):
        for label, runs in curves.items():
            if SEARCHES[label].strategy == family:
                rows = np.array(list(runs.values()))
                steps = np.arange(1, rows.shape[1] + 1)
                (line,) = axes.plot(
                    steps, rows.mean(axis=0), label=label.partition(", ")[2] or "plain"
                )
                low, high = np.percentile(rows, [25, 75], axis=0)
                axes.fill_between(steps, low, high, alpha=0.12, color=line.get_color())
        axes.set(title=family, xlabel="measurements", ylim=(70, 73.7))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="lower right")
    np.atleast_1d(panels)[0].set_ylabel("test accuracy at the best validation [%]")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def load(path: Path) -> dict[str, dict[int, list[float]]]:
    """What curves.csv holds: label, seed, and the curve."""
    curves: dict[str, dict[int, list[float]]] = {}
    with path.open(newline="") as file:
        for label, seed, *values in csv.reader(file):
            curves.setdefault(label, {})[int(seed)] = [float(value) for value in values]
    return {label: curves[label] for label in SEARCHES if label in curves}


def main() -> None:
    """Run what is missing, then write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", required=True)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--only", default="", help="searches whose name begins so")
    parser.add_argument("--objective", default="c100_valid")
    parser.add_argument("--report", default="c100_test")
    parser.add_argument("--cache", default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/nb201_search"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "curves.csv"
    path.touch()
    cells = Cells(options.cache, options.device)
    lookup = make("evaluator", "table", space=cells.space, path=options.table)
    archs = cells.space.valid(cells.space.enumerate())
    names = [options.objective, options.report]
    rows = [outcome.values for outcome in lookup.evaluate(full_trials(archs), names)]
    values, reported = (
        {arch: row[name] for arch, row in zip(archs, rows, strict=True)} for name in names
    )
    goal = (Objective(options.objective, "%", "maximize"),)
    for label, what in SEARCHES.items():
        if not label.startswith(options.only):
            continue
        done, begin = load(path).get(label, {}), time.process_time()
        for seed in (s for s in range(options.seeds) if s not in done):
            problem = Problem(cells.space, goal, seed=seed)
            found = curve(build(what, cells), problem, values, reported, options.budget)
            with path.open("a", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow([label, seed, *found])
        print(f"{label}: {time.process_time() - begin:.0f} s of CPU", flush=True)
    curves = load(path)
    (options.out / "table.md").write_text(table(curves))
    draw(curves, options.out / "curves.png")
    print(table(curves))


if __name__ == "__main__":
    main()
