"""The weights of a network in a file, and a network that is made without any to be given them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakIdKeyDictionary

from nasplug.toolkit.networks.nested import tensors


def write_weights(network: nn.Module, path: Path) -> None:
    """Write the state dict of `network` to a file of safetensors.

    A tensor of several names, such as weights that an embedding and a head share, is written once; its
    further names are in the file's metadata, as `safetensors.torch.save_model` puts them.
    """
    from safetensors.torch import save_file

    state: dict[str, torch.Tensor] = {}
    names: dict[Any, str] = {}
    tied: dict[str, str] = {}
    for name, tensor in network.state_dict().items():
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and place in names:
            tied[name] = names[place]
            continue
        names[place] = name
        part = tensor.untyped_storage().nbytes() != tensor.nbytes
        state[name] = tensor.clone() if part else tensor.contiguous()
    path.touch()
    ordinary = path.stat().st_mode  # that of other files of the user's; safetensors hides its own
    save_file(state, path, metadata={"format": "pt", **tied})
    path.chmod(ordinary)


def load_weights(network: nn.Module, path: Path) -> None:
    """Give `network` the tensors in a file that `write_weights` wrote, in place of its own.

    A network made in `without_weights` holds its weights once. They are copied out of the mapped file,
    where they may lie at odd addresses: kernels would sum in another order there, and the last bits
    of outputs would differ from the original's. Names that shared a tensor share one again. Errors
    are those of `safetensors` and of `load_state_dict`.
    """
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        names = list(file.keys())
        state = {name: file.get_tensor(name).clone() for name in names}
        further = file.metadata() or {}
    tied = {name: of for name, of in further.items() if of in state and name not in state}
    state |= {name: state[of] for name, of in tied.items()}
    network.load_state_dict(state, assign=True)
    parameters = dict(network.named_parameters(remove_duplicate=False))
    for name, of in tied.items():
        if name in parameters and of in parameters:
            owner, _, own = name.rpartition(".")
            setattr(network.get_submodule(owner), own, parameters[of])


@contextmanager
def without_weights() -> Iterator[None]:
    """Within it the parameters of modules that are made have shapes, but no memory (they are on the
    device "meta"); buffers and other tensors are as ever. `load_state_dict(.., assign=True)` gives
    them values.

    With it `SuperNetwork.extract` can make a large network once: build it in here, and assign it
    copies of the active slices. Other threads are not concerned.
    """
    made = WeakIdKeyDictionary()
    thread = threading.get_ident()

    def empty(module: nn.Module, name: str, parameter: nn.Parameter | None) -> Any:
        if threading.get_ident() != thread or parameter is None or parameter.is_meta:
            return None
        if parameter not in made:
            made[parameter] = nn.Parameter(parameter.to("meta"), parameter.requires_grad)
        return made[parameter]

    handle = nn.modules.module.register_module_parameter_registration_hook(empty)
    try:
        yield
    finally:
        handle.remove()


def load_built(build: Callable[[], nn.Module], path: Path) -> nn.Module:
    """The network that `build` makes, with the weights in a file.

    It is made without weights where that is possible; not where `build` computes with them.
    """
    try:
        with without_weights():
            network = build()
        load_weights(network, path)
        if not any(_empty(module) for module in network.modules()):
            return network
    except Exception:
        pass
    network = build()
    load_weights(network, path)
    return network


def _empty(module: nn.Module) -> bool:
    """Whether a tensor of the module's own, a parameter or not, still is without memory."""
    found = tensors(list(vars(module).values()))
    return any(isinstance(tensor, torch.Tensor) and tensor.is_meta for tensor in found)
