"""What sampling negatives and batching cost, beside the training step that they feed.

python examples/benchmarks/ncf_throughput.py [interactions=1000000] [batch_size=2048] [steps=60]

Interactions are generated, in the proportions of MovieLens-1M (6,040 users, 3,706 items). A step is
one of single-path training: forward, backward and Adam on one sub-network. CPU seconds, one thread.
"""

import sys
import time

import numpy as np
import torch

from nasplug import make, seeded


def main(
    interactions: int = 1_000_000, batch_size: int = 2048, steps: int = 60
) -> dict[str, float]:
    """Print and return CPU milliseconds a batch and a step, on average."""
    torch.set_num_threads(1)
    share = (interactions / 1e6) ** 0.5
    users, items = int(6040 * share) + 1, int(3706 * share) + 1
    task = make("task", "interactions", users=users, items=items, interactions=interactions)
    space = make("space", "ncf", users=users, items=items)

    begin = time.process_time()
    next(task.train_batches(batch_size, seed=0))  # generates the set and sorts what users know
    print(f"{task.feedback}; {time.process_time() - begin:.1f} s to generate")

    begin = time.process_time()
    sizes = [len(labels) for _, _, labels in task.train_batches(batch_size, seed=0)]
    epoch = time.process_time() - begin
    batch = 1e3 * epoch / len(sizes)
    print(
        f"an epoch: {sum(sizes)} pairs in {len(sizes)} batches, {epoch:.2f} s, {batch:.2f} ms each"
    )

    with seeded(0):
        network = space.supernet()
    found = {"batch": batch}
    drawn = list(map(tuple, space.sample(steps, np.random.default_rng(0)).tolist()))
    for name, archs in (("smallest", [space.smallest] * steps), ("random", drawn)):
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
        spent = 0.0
        batches = task.train_batches(batch_size, seed=0, epoch=1)
        for arch, data in zip(archs, batches, strict=False):
            begin = time.process_time()
            network.activate(arch)
            optimizer.zero_grad()
            task.loss(network, data).backward()
            optimizer.step()
            spent += time.process_time() - begin
        found[name] = 1e3 * spent / steps
        print(
            f"a step of {name} sub-networks: {found[name]:.1f} ms; a batch is {batch / found[name]:.1%}"
        )
    return found


if __name__ == "__main__":
    main(**{name: int(value) for name, value in (word.split("=") for word in sys.argv[1:])})
