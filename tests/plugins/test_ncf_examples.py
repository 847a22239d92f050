"""The programs that measure this plug-in run, here on tiny sizes."""

import importlib.util
from pathlib import Path

import pytest
import torch

import nasplug

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"
TINY = {
    "interactions": {"users": 60, "items": 100, "interactions": 600},
    "ncf": {"widths": [4, 8], "hidden": [4, 8], "layers": 2},
}


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Loads a program by name, with tiny parts and a cache of its own."""
    threads = torch.get_num_threads()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def make(group, choice, **knobs):
        tiny = {"epochs": 1} if group == "training" else TINY.get(choice, {})
        return nasplug.make(group, choice, **{**tiny, **knobs})

    def load(name, shrink=True):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if shrink:
            monkeypatch.setattr(module, "make", make)
        return module.main

    yield load
    torch.set_num_threads(threads)


def test_batches_are_cheap_beside_steps(program, capsys):
    found = program("ncf_throughput", shrink=False)(20_000, batch_size=1024, steps=8)
    assert "generated set (no real data)" in capsys.readouterr().out
    assert found["batch"] < found["smallest"] / 3
    assert found["batch"] < found["random"] / 3


def test_ranks_are_compared(program, capsys):
    program("ncf_ranking")(archs="4", epochs="1")
    out = capsys.readouterr().out
    assert out.count("  alone ") == 4
    assert "Kendall tau, inherited against alone" in out


def test_searches_are_compared(program, capsys):
    program("ncf_searches")(budget="12", seeds="2", strategies="nsga2,random")
    out = capsys.readouterr().out
    assert "  12 measured: nsga2 " in out and "random 1: hr10 up to" in out
