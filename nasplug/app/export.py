"""A measured network, stand-alone with its weights, in a folder; and `nasplug.load`, the way back."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasplug.app.arguments import check_path
from nasplug.app.restoring import restore
from nasplug.app.stored import stored_json
from nasplug.app.trust import names_from
from nasplug.contracts.architectures import as_architecture
from nasplug.contracts.errors import NasplugError, unknown
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Measurement, Record
from nasplug.plugins.describing import describe

if TYPE_CHECKING:
    from torch import nn

    from nasplug.app.run import Run

DESCRIPTION, WEIGHTS, ONNX = "network.json", "weights.safetensors", "network.onnx"
FORMATS = ("safetensors", "onnx")


def write(run: Run, record: Record, folder: Path, format: str) -> Path:
    """Write the network of `record` to `folder`: a description that a person can read, the weights,
    and, with format="onnx", the graph, checked against ONNX Runtime.

    The description is written last, and holds checksums of the others: where it is, all is whole.
    """
    from safetensors.torch import save

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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).unlink(missing_ok=True)
        weights = save({k: v.contiguous() for k, v in network.state_dict().items()})
        sums = {WEIGHTS: _put(folder / WEIGHTS, weights)}
        if format == "onnx":
            with tempfile.TemporaryDirectory(prefix=".", dir=folder) as part:
                _onnx(network, run.problem.space.example_inputs(2), Path(part) / ONNX)
                for file in sorted(Path(part).iterdir()):  # large weights are in a file beside
                    sums[file.name] = _put(folder / file.name, file.read_bytes())
        description["sha256"] = sums
        _put(folder / DESCRIPTION, json.dumps(description, indent=2).encode() + b"\n")
    except OSError as error:
        raise NasplugError(
            f"{folder} must be writable, but: {error.strerror or error}; export it elsewhere"
        ) from error
    return folder


def _put(path: Path, content: bytes) -> str:
    """Write a whole file or none, and return its checksum."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)
    return hashlib.sha256(content).hexdigest()


def load(path: str | Path, allow: Sequence[str] = ()) -> nn.Module:
    """The exported network in a folder, in evaluation mode on the CPU, with equal outputs.

    Its network.json may name parts of installed plug-ins, and what is in one of the packages that
    `allow` names: `load("export/3", allow=["my_package"])`. Nothing else is imported.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as parse

    check_path("path", path)
    folder = Path(path)
    file = folder / DESCRIPTION
    _check_complete(folder)
    described = stored_json(file, {"space": dict, "architecture": list})
    with names_from(file, allow):
        space: SearchSpace = restore(described["space"], SearchSpace, f"space of {file}")
    arch = as_architecture(space, described["architecture"])
    try:
        network = space.build(arch)
    except NasplugError:
        raise
    except Exception as error:  # whatever a space makes of a stranger's numbers
        reason = " ".join(str(error).split())
        raise NasplugError(f"the network of {file} cannot be built: {reason:.150}") from error
    try:
        content = (folder / WEIGHTS).read_bytes()
        expected = described.get("sha256", {}).get(WEIGHTS)
        if expected is not None and hashlib.sha256(content).hexdigest() != expected:
            raise NasplugError(
                f"{folder / WEIGHTS} must be what was exported with {file}, but its checksum is "
                "another: it was changed or cut short; export the network again"
            )
        network.load_state_dict(parse(content))
    except (OSError, SafetensorError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise NasplugError(
            f"{folder / WEIGHTS} must hold the weights of the network in {file}, but: {reason:.200}"
        ) from error
    return network.eval()


def _check_complete(folder: Path) -> None:
    if (folder / DESCRIPTION).is_file() and (folder / WEIGHTS).is_file():
        return
    begun = [name for name in (DESCRIPTION, WEIGHTS) if (folder / name).exists()]
    if begun or any(folder.glob(".*.part")):
        raise NasplugError(
            f"{folder} must hold {DESCRIPTION} and {WEIGHTS}, but an export was interrupted there; "
            "export the network again: python -m nasplug mode=export run=.. pick=.."
        )
    raise NasplugError(f"an exported network has a {DESCRIPTION}, but {folder} has none")


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
