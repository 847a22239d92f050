"""Do inherited weights rank recommenders as training them alone does, and what decides the rank?

python examples/benchmarks/ncf_ranking.py path=DATA/PREFIX [archs=20] [epochs=6] [macs=400000]

As many architectures for each GMF width, drawn at random among those of at most `macs` multiply-adds
(the cost of training them alone), are measured with the weights of the space's own super-network,
trained here unless it is in the cache, and then trained alone.
"""

import sys

import numpy as np
import torch
from scipy.stats import kendalltau, rankdata

from nasplug import make, seeded
from nasplug.contracts.types import full_trials


def train(network, task, epochs, batch_size=2048, peak=3e-3):
    """Adam with the rates of the super-network's training: half an epoch up, then a cosine down."""
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.0)
    steps = sum(1 for _ in task.train_batches(batch_size, seed=0))
    for epoch in range(epochs):
        for step, batch in enumerate(task.train_batches(batch_size, seed=0, epoch=epoch)):
            done = epoch + (step + 0.5) / steps
            rate = min(done / 0.5, 0.5 + 0.5 * np.cos(np.pi * max(done - 0.5, 0) / (epochs - 0.5)))
            for group in optimizer.param_groups:
                group["lr"] = peak * rate
            optimizer.zero_grad()
            task.loss(network, batch).backward()
            optimizer.step()
    return network.eval()


def main(
    path: str | None = None, archs: str = "20", epochs: str = "6", macs: str = "400000"
) -> None:
    """Print a row an architecture, then the rank correlations."""
    torch.set_num_threads(1)
    task = make("task", "interactions", path=path, validation="test")
    space = make("space", "ncf", **task.network_dimensions)
    schedule = make("training", "ncf")
    supernet = make("evaluator", "supernet_ncf", space=space, task=task, training=schedule)
    print("largest, inherited:", supernet.evaluate(full_trials([space.largest]), ["hr10"])[0])

    drawn = space.sample(100 * int(archs), np.random.default_rng(0))
    drawn = drawn[space.costs(drawn)["macs"] <= float(macs)]
    share = int(archs) // len(space.widths)
    chosen = [
        tuple(arch)
        for width in range(len(space.widths))
        for arch in drawn[drawn[:, 0] == width][:share].tolist()
    ]
    rows = []
    for arch in chosen:
        inherited = supernet.evaluate(full_trials([arch]), ["hr10"])[0].values["hr10"]
        with seeded(0):
            alone = task.quality(train(space.build(arch), task, int(epochs)), task.metrics)["hr10"]
        rows.append((inherited, alone))
        print(f"inherited {inherited:.4f}  alone {alone:.4f}  {space.config(arch)}", flush=True)

    inherited, alone = np.array(rows).T
    print(f"Kendall tau, inherited against alone: {kendalltau(inherited, alone).statistic:.3f}")
    costs = space.costs(chosen)
    properties = {v.name: np.array(chosen)[:, j] for j, v in enumerate(space.variables[:5])}
    for name, values in {**properties, **costs}.items():
        taus = [kendalltau(rankdata(values), quality).statistic for quality in (inherited, alone)]
        print(f"Kendall tau of {name}: inherited {taus[0]:.3f}, alone {taus[1]:.3f}")


if __name__ == "__main__":
    main(**dict(word.split("=") for word in sys.argv[1:]))
