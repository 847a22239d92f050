"""A search from Python: train a small super-network, search it, take the knee's network home.

python examples/from_python.py
"""

import logging
import tempfile

import torch

import nasplug


def main() -> None:
    """Half the width and one epoch, so that it takes seconds; drop both for real."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    task = nasplug.make("task", "digits", image_size=16)
    space = nasplug.make("space", "ofa_mbv3", width_mult=0.5, **task.network_dimensions)
    schedule = nasplug.make("training", "sandwich", epochs=1, random=1)
    supernet = nasplug.make("evaluator", "supernet", space=space, task=task, training=schedule)
    costs = nasplug.make("evaluator", "costs", space=space)

    with tempfile.TemporaryDirectory() as folder:
        run = nasplug.search(
            space,
            [supernet, costs],
            nasplug.make("strategy", "linas"),
            objectives=["top1", "macs"],
            constraints={"params": {"max": 2e6}},
            budget=24,
            run=f"{folder}/run",
        )
        print(run.front()[["number", "top1", "macs", "params"]])

        best = run.best("top1", under={"macs": {"max": 3e6}})
        path = run.export(best.arch)
        network = nasplug.load(path)
        with torch.no_grad():
            same = torch.equal(
                network(*space.example_inputs(4)),
                supernet.network(best.arch)(*space.example_inputs(4)),
            )
        print("exported number", best.number, dict(best.outcome.values), "equal outputs:", same)
        print("its quality, measured again:", task.quality(network, task.metrics))


if __name__ == "__main__":
    main()
