"""The attack of stop_processes.py, with a few moments; NASPLUG_MOMENTS sets another number."""

import importlib.util
import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
spec = importlib.util.spec_from_file_location("stop_processes", HERE / "stop_processes.py")
stop_processes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stop_processes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", stop_processes.SIGNALS)
def test_at_any_moment_it_ends_soon_with_one_line_and_leaves_no_process(kind):
    moments = int(os.environ.get("NASPLUG_MOMENTS", "6"))
    seen = stop_processes.attack(kind, moments, list(stop_processes.WORKS))
    assert not [(work, one.moment, one.fault(kind)) for work, one in seen if one.fault(kind)]
