"""Connected spoken digits: the word error rate that one network of `denas_asr` reaches.

    python examples/benchmarks/connected_digits.py RECORDINGS [SECONDS]

RECORDINGS is the free spoken digits' folder or zip file; sequences of 1 to 5 digits of one speaker are
made of them. A network 64 wide of 2 layers is trained alone, for SECONDS of CPU time (240) on one
thread: AdamW, 2e-3 along a cosine, 5,000 frames a step. Free-running greedy decoding.
"""

import sys
import time

import numpy as np
import torch

from nasplug import make, seeded


def main(path: str, seconds: str = "240") -> None:
    torch.set_num_threads(1)
    task = make("task", "speech", path=path, connected=5, sequences=1000, fixed_sequences=400)
    space = make("space", "denas_asr", **task.network_dimensions)
    arch = space.from_denas((2, 4.0, 4.0, 4, 4, 64))
    with seeded(0):
        network = space.build(arch)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, betas=(0.9, 0.98))
    limit, start, step, epoch = float(seconds), time.process_time(), 0, 0
    while (done := (time.process_time() - start) / limit) < 1:
        for batch in task.train_batches(5000, 0, epoch):
            done = min(1.0, (time.process_time() - start) / limit)
            rate = 2e-3 * min(1, (step + 1) / 60) * (0.5 + 0.5 * np.cos(np.pi * done))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            task.loss(network, batch).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            step += 1
        epoch += 1
    network.eval()
    params = int(space.costs([arch])["params_all"][0])
    print(f"{params:,} parameters, {step} steps, {time.process_time() - start:.0f} CPU s")
    print("validation", task.quality(network, ["wer"]), "test", task.test_quality(network, ["wer"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
