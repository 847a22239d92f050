"""The graph of a network in ONNX, checked against ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.inputs import Inputs, call
from nasplug.toolkit.networks.nested import named_tensors

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

    from nasplug.toolkit.networks.positional import positional

    given = dict(named_tensors(inputs))
    values = tuple(given.values())
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad():
        outputs = dict(named_tensors(call(network, inputs)))
    names: dict[str, Any] = {}
    graph, plain = network, list(given) == list(map(str, range(len(inputs))))
    if not plain or "" not in outputs:
        graph = positional(network, inputs)
        names["output_names"] = [name or "output" for name in outputs]
        if isinstance(inputs, Mapping):
            names["input_names"] = list(given)
    batch = torch.export.Dim("batch")
    axes: Any = tuple({0: batch} for _ in values)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about what it uses
        torch.onnx.export(
            graph, values, path, dynamo=True, verbose=False, **names,
            dynamic_shapes=axes if graph is network else (axes,),
        )  # fmt: skip
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    nodes = [node.name for node in session.get_inputs()]
    found = session.run(None, {n: x.numpy() for n, x in zip(nodes, values, strict=True)})
    for array, expected in zip(found, outputs.values(), strict=True):
        off = float((torch.as_tensor(array) - expected).abs().max())
        if not off <= TOLERANCE * max(1.0, float(expected.abs().max())):
            raise NasplugError(
                f"the ONNX graph must give the network's outputs, but is {off:g} off"
            )
