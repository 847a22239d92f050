"""Whether searches are, byte for byte, what they were before a change.

    python examples/benchmarks/same_history.py run --data DATA --out before.json
    python examples/benchmarks/same_history.py compare before.json after.json

`run` searches three problems with every strategy and seed: `recorded` (recorded searches of ofa_mbv3),
`ofa_surrogate` (the published accuracy predictor), both for top-1 and MACs, and `nb201` (the table
of NAS-Bench-201, one objective). DATA holds `ofa/` (acc_predictor.pth, recorded searches as CSV) and
`nb201/nb201.csv.gz`. For each search it writes the SHA-256 of all (architecture, values) in order.
`compare` names the searches that differ, and fails if any does. Set OMP_NUM_THREADS=1: sums over
threads differ in the last bit.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nasplug

STRATEGIES = ("linas", "nsga2", "aging_evolution", "bp", "reinforce")
Problem = tuple[Any, Any, list[str]]
"""A space, its evaluator, and the objectives."""


def recorded(data: Path) -> Problem:
    """A support vector machine on the recorded searches."""
    space = nasplug.make("space", "ofa_mbv3")
    files = [str(path) for path in sorted((data / "ofa").glob("mbnv3w10_*.csv"))]
    evaluator = nasplug.make("evaluator", "recorded", space=space, results=files)
    return space, [evaluator, nasplug.make("evaluator", "costs", space=space)], ["top1", "macs"]


def ofa_surrogate(data: Path) -> Problem:
    """The published accuracy predictor, which was trained on networks 1.2 times as wide."""
    space = nasplug.make("space", "ofa_mbv3")
    file, choice = str(data / "ofa" / "acc_predictor.pth"), "ofa_surrogate"
    evaluator = nasplug.make("evaluator", choice, space=space, accuracy=file, extrapolate=True)
    return space, [evaluator, nasplug.make("evaluator", "costs", space=space)], ["top1", "macs"]


def nb201(data: Path) -> Problem:
    """All 15,625 cells, by their validation accuracy on CIFAR-100."""
    space = nasplug.make("space", "nasbench201", isomorphic=False)
    file = str(data / "nb201" / "nb201.csv.gz")
    evaluator = nasplug.make("evaluator", "table", space=space, path=file)
    return space, [evaluator], ["c100_valid"]


PROBLEMS: dict[str, Callable[[Path], Problem]] = {
    "recorded": recorded,
    "ofa_surrogate": ofa_surrogate,
    "nb201": nb201,
}


def digest(problem: Problem, strategy: str, seed: int, budget: int) -> str:
    """The SHA-256 of one search's history."""
    space, evaluators, objectives = problem
    part = nasplug.make("strategy", strategy)
    run = nasplug.search(space, evaluators, part, objectives, budget, seed=seed)
    history = run.table()[["architecture", *objectives]].to_numpy().tolist()
    return hashlib.sha256(json.dumps(history).encode()).hexdigest()


def run(options: argparse.Namespace) -> None:
    """Search, and write after each search what is known."""
    hashes: dict[str, str] = {}
    for name in options.problems:
        problem = PROBLEMS[name](options.data)
        for strategy in options.strategies:
            begin = time.process_time()
            for seed in options.seeds:
                found = digest(problem, strategy, seed, options.budget)
                hashes[f"{name} {strategy} seed {seed} budget {options.budget}"] = found
                options.out.write_text(json.dumps(hashes, indent=1) + "\n")
            print(f"{name} {strategy}: {time.process_time() - begin:.0f} s of CPU", flush=True)


def compare(options: argparse.Namespace) -> None:
    """Name what differs among the searches that both files have; none in common fails too."""
    before, after = (json.loads(path.read_text()) for path in (options.before, options.after))
    common = [name for name in before if name in after]
    changed = [name for name in common if before[name] != after[name]]
    for name in changed:
        print(f"differs: {name}")
    print(f"{len(common) - len(changed)} of {len(common)} searches are the same")
    if changed or not common:
        raise SystemExit(1)


def main() -> None:
    """One of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run")
    runs.add_argument("--data", type=Path, required=True)
    runs.add_argument("--out", type=Path, required=True)
    runs.add_argument("--budget", type=int, default=60)
    runs.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    runs.add_argument("--strategies", nargs="+", default=STRATEGIES)
    runs.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    runs.set_defaults(command=run)
    compares = commands.add_parser("compare")
    compares.add_argument("before", type=Path)
    compares.add_argument("after", type=Path)
    compares.set_defaults(command=compare)
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
