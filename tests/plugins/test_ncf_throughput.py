"""The benchmark of batches against steps runs, and at a small size says what it must."""

import runpy
from pathlib import Path

import torch

PROGRAM = Path(__file__).parents[2] / "examples" / "benchmarks" / "ncf_throughput.py"


def test_batches_are_cheap_beside_steps(capsys):
    threads = torch.get_num_threads()
    try:
        found = runpy.run_path(str(PROGRAM))["main"](interactions=20_000, batch_size=1024, steps=8)
    finally:
        torch.set_num_threads(threads)
    assert "generated set (no real data)" in capsys.readouterr().out
    assert found["batch"] < found["smallest"] / 3
    assert found["batch"] < found["random"] / 3
