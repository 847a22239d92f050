"""One-shot and multi-trial search on a space that is small enough to be trained exhaustively.

    python examples/benchmarks/one_shot.py FOLDER

Trains all 250 networks of `Network` on the digits, each with two seeds (FOLDER/exhaustive.csv; what is
there already is not trained again), then says how far up the list each strategy ends, and how well
inherited accuracy ranks networks. About ten minutes of one core; docs/one_shot.md has the figures.
"""

import csv
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau, spearmanr

from nasplug import Objective, Problem, make, search
from nasplug.contracts.types import full_trials

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # nni's own, about names of a newer torch
    from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace

STRATEGIES = {
    "darts": {},
    "darts, second order": {"second_order": True},
    "gdas": {},
    "snas": {},
    "proxyless": {},
    "enas": {},
    "spos": {"inner": make("strategy", "ga", population=20)},
    "random_one_shot": {},
}
SEEDS = range(3)
TRAINED = range(2)
"""Seeds with which every network is trained; its place is by their mean."""
SIZE, CHANNELS = 8, 8
SHARE, BEST = 0.15, 0.03
"""Multi-trial search may measure this share of the space, to find one of this share of best."""


def block(kernel):
    """Convolution, batch norm and ReLU."""
    convolution = torch.nn.Conv2d(CHANNELS, CHANNELS, kernel, padding="same", bias=False)
    return torch.nn.Sequential(convolution, torch.nn.BatchNorm2d(CHANNELS), torch.nn.ReLU())


class Network(ModelSpace):
    """Three layers of five candidates each, and a connection that skips the last: 250 networks.

    Nothing else sees more than one pixel at a time, so it matters where a convolution is.
    """

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(1, CHANNELS, 1), torch.nn.ReLU())
        self.layer1, self.layer2, self.layer3 = (
            LayerChoice(
                {
                    "none": torch.nn.Identity(),
                    "pool": torch.nn.AvgPool2d(3, 1, 1),
                    "conv1": block(1),
                    "conv3": block(3),
                    "conv5": block(5),
                },
                label=f"layer{i}",
            )
            for i in (1, 2, 3)
        )
        self.skip = InputChoice(2, 1, label="skip")
        self.down = torch.nn.MaxPool2d(2)
        self.head = torch.nn.Linear(CHANNELS, 10)

    def forward(self, x):
        """Images (b, 1, h, w) -> class scores (b, 10)."""
        second = self.layer2(self.down(self.layer1(self.stem(x))))
        third = self.layer3(second)
        return self.head(self.skip([third, third + second]).mean((2, 3)))


def train_all(space, task, path):
    """Every network with every seed of `TRAINED`: a row each of the CSV file."""
    with path.open("a+", newline="") as file:
        file.seek(0)
        known = {(row["architecture"], int(row["seed"])) for row in csv.DictReader(file)}
        writer = csv.writer(file)
        if not known:
            writer.writerow(["architecture", "seed", "top1", "loss", "seconds"])
        for seed in TRAINED:
            training = make(
                "evaluator", "training", space=space, task=task, seed=seed, epochs=10, lr=0.1, keep=False
            )  # fmt: skip
            for arch in map(tuple, space.enumerate().tolist()):
                if (json.dumps(arch), seed) not in known:
                    (outcome,) = training.evaluate(full_trials([arch]), ["top1", "loss"])
                    writer.writerow(
                        [json.dumps(arch), seed, *outcome.values.values(), outcome.seconds]
                    )
                    file.flush()


def read(path):
    """Architectures, and top-1 and loss of each, shape (n, seeds)."""
    found = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            arch = tuple(json.loads(row["architecture"]))
            found.setdefault(arch, []).append((float(row["top1"]), float(row["loss"])))
    values = np.array(list(found.values()))
    return list(found), values[..., 0], values[..., 1]


def derived(name, space, task, seed):
    """The first four architectures that a one-shot strategy proposes, and the seconds it took."""
    problem = Problem(space, (Objective("top1", "%", "maximize"),), task=task, seed=seed)
    strategy = make("strategy", name.split(",")[0], **STRATEGIES[name])
    strategy.setup(problem)
    start = time.process_time()
    return [trial.arch for trial in strategy.ask(4)][:4], time.process_time() - start


def correlation(one, other):
    """Both rank correlations, in words."""
    tau, rho = kendalltau(one, other).statistic, spearmanr(one, other).statistic
    return f"Kendall {tau:.2f}, Spearman {rho:.2f}"


def main(folder):
    """Train, search, and print."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "exhaustive.csv"
    task = make("task", "digits", image_size=SIZE)
    space = make("space", "nni", model=Network, in_channels=1, image_size=SIZE)
    train_all(space, task, path)
    archs, top1, loss = read(path)
    order = np.lexsort((loss.mean(1), -top1.mean(1)))
    rank = {archs[i]: place for place, i in enumerate(order, 1)}
    value = dict(zip(archs, top1.mean(1), strict=True))
    quantiles = ", ".join(f"{q:.1f}" for q in np.percentile(top1.mean(1), [0, 25, 50, 75, 97, 100]))
    print(f"{len(archs)} networks, top-1 at quantiles 0, 25, 50, 75, 97, 100 %: {quantiles}")
    print(f"two trainings of all agree by Kendall's tau {kendalltau(*top1.T[:2]).statistic:.2f}")
    costs = make("evaluator", "costs", space=space).evaluate(full_trials(archs), ["macs"])
    macs = [outcome.values["macs"] for outcome in costs]
    print(f"multiply-adds and top-1: {correlation(macs, top1.mean(1))}\n")

    print(f"{'strategy':20} rank of the derived (best of four)  top-1        seconds of CPU")
    for name in STRATEGIES:
        found = [derived(name, space, task, seed) for seed in SEEDS]
        ranks = "  ".join(f"{rank[a[0]]:3} ({min(rank[x] for x in a):3})" for a, _ in found)
        tops = " ".join(f"{value[a[0]]:.1f}" for a, _ in found)
        print(f"{name:20} {ranks}   {tops}   {np.mean([s for _, s in found]):.0f}", flush=True)

    budget = int(SHARE * len(archs))
    table = make("evaluator", "table", space=space, path=str(path), duplicates="mean")
    for name in ("linas", "random"):
        found = []
        for seed in SEEDS:
            run = search(space, table, make("strategy", name), ["top1"], budget, seed=seed)
            places = [rank[record.arch] for record in run.records]
            hit = [i for i, place in enumerate(places, 1) if place <= BEST * len(archs)]
            found.append(f"{min(places):3} ({hit[0] if hit else '-'})")
        print(f"{name:20} best rank in {budget} (first of the best 3 % at): {'  '.join(found)}")

    for seed in SEEDS:
        schedule = make("training", "single_path")
        supernet = make(
            "evaluator", "supernet", space=space, task=task, seed=seed, training=schedule,
            cache=str(folder),
        )  # fmt: skip
        inherited = [o.values["top1"] for o in supernet.evaluate(full_trials(archs), ["top1"])]
        found = correlation(inherited, top1.mean(1))
        print(f"inherited and stand-alone top-1, seed {seed}: {found}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
