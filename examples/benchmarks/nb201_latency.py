"""Accuracy against measured latency on NAS-Bench-201: how much of the true front a search finds.

python examples/benchmarks/nb201_latency.py --table nb201.csv.gz --latency nb201_latency_ms.csv.gz

The share of the true front's hypervolume after 60 measurements, device by device, the median over
seeds. The reference point lies a tenth of the front's extent beyond the front's worst values or, with
--reference all, at the worst values of all cells, which is easier. Rows whose
latency is below a hundredth of the device's median are broken measurements, and left out. Writes
shares.csv, to which the same command adds what is missing, and table.md.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import pandas as pd

from nasplug import Objective, Problem, make
from nasplug.toolkit.searching.pareto import hypervolume, nondominated

SHOWN = (20, 30, 40, 60)
SEARCHES = {
    "linas": ("linas", None),
    "linas, warm-up synflow": ("linas", "synflow"),
    "linas, warm-up meco": ("linas", "meco"),
    "nsga2": ("nsga2", None),
    "random": ("random", None),
}


class Cells:
    """Scores of the benchmark's cells; isomorphic cells share theirs."""

    def __init__(self, cache: str | None, device: str) -> None:
        self.space = make("space", "nasbench201", isomorphic=False)
        self.distinct = make("space", "nasbench201")
        self.proxies = make("evaluator", "proxies", space=self.distinct, cache=cache, device=device)

    def scores(self, archs, name):  # type: ignore[no-untyped-def]
        """Shape (n,), higher is better."""
        return self.proxies.scores(self.distinct.valid(archs), name)


def search(cells, choice, proxy, values, seed, budget):  # type: ignore[no-untyped-def]
    """Values (accuracy, latency) in the order measured, shape (budget, 2)."""
    strategy = make("strategy", choice)
    if proxy:
        strategy = make(
            "wrapper", "warmup", strategy=strategy, proxies=cells, proxy=proxy, pool=3000
        )
    goals = (Objective("accuracy", "%", "maximize"), Objective("latency", "ms", "minimize"))
    problem = Problem(cells.space, goals, seed=seed)
    strategy.setup(problem)
    rows: list[list[float]] = []
    while len(rows) < budget:
        trials = list(strategy.ask(budget - len(rows)))[: budget - len(rows)]
        told = [values.get(trial.arch, [np.nan, np.nan]) for trial in trials]
        strategy.tell(problem.results(trials, np.array(told)))
        rows += told
    return np.array(rows)


def table(shares: pd.DataFrame) -> str:
    """Median shares after the last measurement, in Markdown, a column a device."""
    devices = list(dict.fromkeys(shares["device"]))
    lines = [
        "| share at 60 | " + " | ".join(devices) + " | seeds |",
        "|---" * (len(devices) + 2) + "|",
    ]
    for label in SEARCHES:
        mine = shares[shares["search"] == label]
        if len(mine):
            median = mine.groupby("device")[str(max(SHOWN))].median()
            cells = [f"{median[device]:.3f}" for device in devices]
            lines.append(f"| {label} | " + " | ".join(cells) + f" | {mine['seed'].nunique()} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", required=True)
    parser.add_argument("--latency", required=True)
    parser.add_argument("--accuracy", default="c100_test")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default="", help="searches whose name begins so")
    parser.add_argument("--reference", choices=("front", "all"), default="front")
    parser.add_argument("--cache", default=None)
    parser.add_argument("--proxies-device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/nb201_latency"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "shares.csv"
    if not path.exists():
        path.write_text("search,device,seed," + ",".join(map(str, SHOWN)) + ",seconds\n")
    cells = Cells(options.cache, options.proxies_device)
    cells_of = pd.read_csv(options.table)
    latencies = pd.read_csv(options.latency).set_index("arch").loc[cells_of["arch"]]
    archs = [cells.space.parse(text) for text in cells_of["arch"]]
    accuracy = cells_of[options.accuracy].to_numpy()
    devices = [name for name in latencies.select_dtypes("number") if name != "idx"]
    for seed in range(options.seeds):
        for device in devices:
            latency = latencies[device].to_numpy()
            good = latency > np.median(latency) / 100
            losses = np.column_stack([-accuracy, latency])[good]
            front = losses[nondominated(losses)]
            worst = front.max(axis=0) + 0.1 * np.ptp(front, axis=0)
            if options.reference == "all":
                worst = losses.max(axis=0)
            whole = hypervolume(front, worst)
            values = {
                a: [x, y] for a, x, y, ok in zip(archs, accuracy, latency, good, strict=True) if ok
            }
            for label, (choice, proxy) in SEARCHES.items():
                done = pd.read_csv(path)
                known = (
                    (done["search"] == label) & (done["device"] == device) & (done["seed"] == seed)
                )
                if not label.startswith(options.only) or known.any():
                    continue
                begin = time.process_time()
                found = search(cells, choice, proxy, values, seed, max(SHOWN)) * [-1, 1]
                shares = [
                    round(
                        hypervolume(found[:n][np.isfinite(found[:n]).all(axis=1)], worst) / whole, 4
                    )
                    for n in SHOWN
                ]
                seconds = round(time.process_time() - begin, 1)
                with path.open("a", newline="") as file:
                    row = [label, device, seed, *shares, seconds]
                    csv.writer(file, lineterminator="\n").writerow(row)
    text = table(pd.read_csv(path))
    (options.out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
