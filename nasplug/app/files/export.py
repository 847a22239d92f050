"""A measured network, stand-alone with its weights, in a folder; and `nasplug.load`, the way back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasplug.app.checks.arguments import check_path
from nasplug.app.files.restoring import restore
from nasplug.app.files.stored_config import stored_json
from nasplug.app.files.trust import names_from
from nasplug.app.tested import SUFFIX, known_or_measured
from nasplug.contracts.application import Application
from nasplug.contracts.architectures import as_architecture
from nasplug.contracts.errors import NasplugError, unknown
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.task import Task
from nasplug.contracts.types import Architecture, Measurement, Record
from nasplug.engine.run_folder import verify_data
from nasplug.plugins.describing import describe

if TYPE_CHECKING:
    from torch import nn

    from nasplug.app.run import Run

DESCRIPTION, WEIGHTS, ONNX = "network.json", "weights.safetensors", "network.onnx"
FORMATS = ("safetensors", "onnx")


def write(run: Run, record: Record, folder: Path, format: str, test: bool = True) -> Path:
    """Write the network of `record` to `folder`: a description that a person can read, the weights,
    and, with format="onnx", the graph, checked against ONNX Runtime. The metrics of the description
    have those on test data besides, unless they are unknown and `test` is off.

    The description is written last, and holds checksums of the others: where it is, all is whole.
    """
    from nasplug.app.files.onnx import write_onnx
    from nasplug.toolkit.networks.weights import write_weights

    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if not isinstance(record.outcome, Measurement):
        raise NasplugError(f"number {record.number} failed: {record.outcome.error}; pick another")
    task = run.problem.task
    if run.folder is not None and task is not None:
        verify_data(run.folder, task.data_fingerprint)
    network = run.evaluator.network(record.arch).eval()
    units = {name: metric.unit for name, metric in run.evaluator.metrics.items()}
    tests = known_or_measured(run, record.arch, test)
    description = {
        "space": describe(run.problem.space),
        "architecture": list(record.arch),
        "config": run.problem.space.config(record.arch),
        "metrics": {
            **{n: {"value": v, "unit": units[n]} for n, v in record.outcome.values.items()},
            **{
                n + SUFFIX: {"value": v, "unit": units[n]}
                for n, v in tests.items()
                if n + SUFFIX not in record.outcome.values
            },
        },
        "run": str(run.folder),
        "number": record.number,
        **({} if task is None else {"task": _plain(task)}),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).unlink(missing_ok=True)
        with _beside(folder) as part:
            write_weights(network, part / WEIGHTS)
            if format == "onnx":
                write_onnx(network, run.problem.space.example_inputs(2), part / ONNX)
            files = sorted(part.iterdir())  # large weights of a graph are in a file beside it
            description["sha256"] = {file.name: _sha256(file) for file in files}
            for file in files:
                os.replace(file, folder / file.name)
            text = json.dumps(description, indent=2) + "\n"
            (part / DESCRIPTION).write_text(text, encoding="utf-8")
            os.replace(part / DESCRIPTION, folder / DESCRIPTION)
    except OSError as error:
        raise NasplugError(
            f"{folder} must be writable, but: {error.strerror or error}; export it elsewhere"
        ) from error
    return folder


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """An empty folder in `folder` for files that are not whole yet; what a killed process left there
    is removed."""
    part = folder / ".export.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _plain(task: Task) -> dict[str, Any]:
    info = dict(task.deployment_info())
    try:
        json.dumps(info)
    except (TypeError, ValueError) as error:
        raise NasplugError(
            f"deployment_info of {type(task).__name__} must be JSON, but: {error}"
        ) from None
    return info


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(path: str | Path, allow: Sequence[str] = ()) -> nn.Module:
    """The exported network in a folder, in evaluation mode on the CPU, with equal outputs.

    Its network.json may name parts of installed plug-ins, and what is in one of the packages that
    `allow` names: `load("export/3", allow=["my_package"])`. Nothing else is imported. Where the task
    named an `Application`, the network has its methods besides: `predict`, and others.
    """
    from safetensors import SafetensorError

    from nasplug.toolkit.networks.weights import load_built

    check_path("path", path)
    folder = Path(path)
    file = folder / DESCRIPTION
    _check_complete(folder)
    described = stored_json(file, {"space": dict, "architecture": list})
    with names_from(file, allow):
        space: SearchSpace = restore(described["space"], SearchSpace, f"space of {file}")
    arch = as_architecture(space, described["architecture"])
    weights = folder / WEIGHTS
    try:
        expected = described.get("sha256", {}).get(WEIGHTS)
        if expected is not None and _sha256(weights) != expected:
            raise NasplugError(
                f"{weights} must be what was exported with {file}, but its checksum is "
                "another: it was changed or cut short; export the network again"
            )
        network = load_built(lambda: _built(space, arch, file), weights)
    except (OSError, SafetensorError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise NasplugError(
            f"{weights} must hold the weights of the network in {file}, but: {reason:.200}"
        ) from error
    return _lend(network.eval(), described.get("task") or {}, file, allow)


def _lend(network: nn.Module, info: Any, file: Path, allow: Sequence[str]) -> nn.Module:
    """`network` with the methods of the application that the task's `info` names, if it does."""
    named = info.get("application") if isinstance(info, Mapping) else None
    if named is None:
        return network
    with names_from(file, allow):
        made: Application = restore(
            named, Application, f"application of {file}", network=network, info=info
        )
    for name in made.methods:
        if hasattr(network, name):
            raise NasplugError(
                f"the network of {file} must have no {name} of its own, which its application "
                f"{type(made).__name__} lends it"
            )
        setattr(network, name, getattr(made, name))
    return network


def _built(space: SearchSpace, arch: Architecture, file: Path) -> nn.Module:
    try:
        return space.build(arch)
    except NasplugError:
        raise
    except Exception as error:  # whatever a space makes of a stranger's numbers
        reason = " ".join(str(error).split())
        raise NasplugError(f"the network of {file} cannot be built: {reason:.150}") from error


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
