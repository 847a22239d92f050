"""The graph of a network in ONNX, checked against ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.inputs import Inputs, call
from nasplug.toolkit.nested import named_tensors

if TYPE_CHECKING:
    from torch import nn

TOLERANCE = 1e-4
"""How far the graph's outputs may be off, where the largest is at most 1, and relative to it else."""


def write_onnx(network: nn.Module, inputs: Inputs, path: Path) -> None:
    """Write the graph for `inputs` of example shape, any batch size.

    Inputs by keywords keep their names; the tensors of a structured output are named by their
    places in it, such as "logits" and "hidden_states.0".
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (the exporter needs it)
    except ImportError as error:
        raise NasplugError(
            f"format=onnx needs {error.name}; type: pip install nasplug[onnx]"
        ) from None
    import torch

    values = list(inputs.values()) if isinstance(inputs, Mapping) else list(inputs)
    if not all(isinstance(value, torch.Tensor) for value in values):
        raise NasplugError(
            "format=onnx needs a network whose inputs are tensors, but `example_inputs` of the space "
            "gives nested ones; export it with format=safetensors"
        )
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad():
        outputs = dict(named_tensors(call(network, inputs)))
    if "" not in outputs or isinstance(inputs, Mapping):
        names: dict[str, Any] = {"output_names": [name or "output" for name in outputs]}
        if isinstance(inputs, Mapping):
            names["input_names"] = list(inputs)
        graph: nn.Module = _positional(network, inputs)
    else:
        graph, names = network, {}
    batch = torch.export.Dim("batch")
    axes: Any = tuple({0: batch} for _ in values)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about what it uses
        torch.onnx.export(
            graph, tuple(values), path, dynamo=True, verbose=False, **names,
            dynamic_shapes=axes if graph is network else (axes,),
        )  # fmt: skip
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = [node.name for node in session.get_inputs()]
    found = session.run(None, {n: x.numpy() for n, x in zip(given, values, strict=True)})
    for array, expected in zip(found, outputs.values(), strict=True):
        off = float((torch.as_tensor(array) - expected).abs().max())
        if not off <= TOLERANCE * max(1.0, float(expected.abs().max())):
            raise NasplugError(
                f"the ONNX graph must give the network's outputs, but is {off:g} off"
            )


def _positional(network: nn.Module, inputs: Inputs) -> nn.Module:
    """`network`, called with tensors in the order of `inputs`, with a plain list of tensors as output."""
    from torch import nn

    keys = list(inputs) if isinstance(inputs, Mapping) else None

    class Positional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *values: Any) -> Any:
            given = values if keys is None else dict(zip(keys, values, strict=True))
            return [tensor for _, tensor in named_tensors(call(self.network, given))]

    return Positional().eval()
