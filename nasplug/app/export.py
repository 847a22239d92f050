"""A measured network, stand-alone with its weights, in a folder; and `nasplug.load`, the way back."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasplug.contracts.errors import NasplugError, unknown
from nasplug.contracts.types import Measurement, Record
from nasplug.plugins.building import build
from nasplug.plugins.describing import describe

if TYPE_CHECKING:
    from torch import nn

    from nasplug.app.run import Run

DESCRIPTION, WEIGHTS, ONNX = "network.json", "weights.safetensors", "network.onnx"
FORMATS = ("safetensors", "onnx")


def write(run: Run, record: Record, folder: Path, format: str) -> Path:
    """Write the network of `record` to `folder`: a description that a person can read, the weights,
    and, with format="onnx", the graph, checked against ONNX Runtime."""
    from safetensors.torch import save_file

    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if not isinstance(record.outcome, Measurement):
        raise NasplugError(f"number {record.number} failed: {record.outcome.error}; pick another")
    network = run.evaluator.network(record.arch).eval()
    units = {name: metric.unit for name, metric in run.evaluator.metrics.items()}
    description = {
        "space": describe(run.problem.space),
        "architecture": list(record.arch),
        "config": run.problem.space.config(record.arch),
        "metrics": {n: {"value": v, "unit": units[n]} for n, v in record.outcome.values.items()},
        "run": str(run.folder),
        "number": record.number,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / WEIGHTS)
    if format == "onnx":
        _onnx(network, run.problem.space.example_inputs(2), folder / ONNX)
    return folder


def load(path: str | Path) -> nn.Module:
    """The exported network in a folder, in evaluation mode on the CPU, with equal outputs."""
    from safetensors.torch import load_file

    folder = Path(path)
    if not (folder / DESCRIPTION).is_file():
        raise NasplugError(f"an exported network has a {DESCRIPTION}, but {folder} has none")
    description = json.loads((folder / DESCRIPTION).read_text())
    network: nn.Module = build(description["space"]).build(tuple(description["architecture"]))
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network.eval()


def _onnx(network: nn.Module, inputs: Any, path: Path) -> None:
    """The graph for inputs of example shape, any batch size; equal to the network within 1e-4."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (the exporter needs it)
    except ImportError as error:
        raise NasplugError(
            f"format=onnx needs {error.name}; type: pip install nasplug[onnx]"
        ) from None
    import numpy as np
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about what it uses
        batch = torch.export.Dim("batch")
        shapes = tuple({0: batch} for _ in inputs)
        torch.onnx.export(network, inputs, path, dynamo=True, dynamic_shapes=shapes, verbose=False)
        expected = network(*inputs)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    found = session.run(None, {n: x.numpy() for n, x in zip(names, inputs, strict=True)})[0]
    off = float(np.abs(found - expected.numpy()).max())
    if not off <= 1e-4 * max(1.0, float(expected.abs().max())):
        raise NasplugError(f"the ONNX graph must give the network's outputs, but is {off:g} off")
