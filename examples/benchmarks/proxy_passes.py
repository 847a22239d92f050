"""What eight zero-cost proxies cost together, as a multiple of grad_norm alone.

python examples/benchmarks/proxy_passes.py --batch-size 64 --repeats 15

One network of NAS-Bench-201, random images; CPU seconds of this process (with CUDA, seconds), the
median over repeats that take turns.
"""

import argparse
import statistics
import time

import torch
from nasplug_proxies.scoring.batches import ProxyBatches
from nasplug_proxies.scoring.scoring import scores
from torch.nn import functional

from nasplug import Metric, Task, make, seeded

TOGETHER = ("grad_norm", "snip", "plain", "fisher", "l2_norm", "params", "nwot", "jacob_cov")
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


class Noise(Task):
    """Random images with random labels."""

    metrics = {"top1": Metric("%", "maximize")}

    def train_batches(self, batch_size, seed, epoch=0):  # type: ignore[no-untyped-def]
        """Without end."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            images = torch.randn(batch_size, 3, 32, 32, generator=generator)
            yield images, torch.randint(10, (batch_size,), generator=generator)

    def criterion(self, outputs, batch):  # type: ignore[no-untyped-def]
        """Cross-entropy."""
        return functional.cross_entropy(outputs, batch[-1])

    def quality(self, model, metrics):  # type: ignore[no-untyped-def]
        """Nothing is trained here."""
        return {}


def main() -> None:
    """Time both in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--cell", default=CELL)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--each", action="store_true", help="also each of them beside grad_norm")
    options = parser.parse_args()
    space = make("space", "nasbench201")
    with seeded(0):
        model = space.build(space.parse(options.cell))
    feed = ProxyBatches(space.example_inputs, Noise(), options.batch_size, device=options.device)
    sets = {"grad_norm": TOGETHER[:1], "all eight": TOGETHER}
    if options.each:
        sets |= {f"grad_norm, {name}": (TOGETHER[0], name) for name in TOGETHER[1:]}
    parts = {name: make("proxy", name) for name in TOGETHER}
    clock = time.perf_counter if options.device != "cpu" else time.process_time
    seconds: dict[str, list[float]] = {label: [] for label in sets}
    for repeat in range(options.repeats + 1):
        for label, names in sets.items():
            start = clock()
            scores({name: parts[name] for name in names}, model, feed)
            if options.device != "cpu":
                torch.cuda.synchronize()
            if repeat:  # the first warms up
                seconds[label].append(clock() - start)
    base = statistics.median(seconds["grad_norm"])
    for label, found in seconds.items():
        print(f"{label:24} {statistics.median(found):.3f} s  {statistics.median(found) / base:.2f}")


if __name__ == "__main__":
    main()
