"""Every example runs, from top to bottom, and is short."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_runs(example, tmp_path):
    assert example.read_text().count("\n") <= 75
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    environment = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "number" in done.stdout and "False" not in done.stdout


BENCHMARKS = sorted((ROOT / "examples" / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda p: p.stem)
def test_a_benchmark_says_how_it_is_run(benchmark):
    text = benchmark.read_text()
    compile(text, str(benchmark), "exec")
    assert f"python examples/benchmarks/{benchmark.name}" in text and "__main__" in text
