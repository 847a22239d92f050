"""Published weights: where they are, and the two styles in which their keys are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

from nasplug.elastic import Elastic

MBCONV_NETS = "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/"
"""The folder of the MobileNetV3 and ProxylessNAS super-networks."""

RESNET50 = "https://huggingface.co/han-cai/ofa/resolve/main/ofa_supernet_resnet50"
"""The ResNet-50 super-network."""

_REPEATED = re.compile(r"\.(conv|bn|linear)(?:\.\1)+\.")


def plain_key(key: str) -> str:
    """What both styles of a key have in common.

    Elastic layers wrap a plain one of the same name (`conv.conv.weight`, `bn.bn.weight`,
    `linear.linear.weight`), which some files leave out; the oldest call a block's `conv`
    `mobile_inverted_conv`.

    >>> plain_key("blocks.1.mobile_inverted_conv.depth_conv.bn.bn.bias")
    'blocks.1.conv.depth_conv.bn.bias'
    """
    return _REPEATED.sub(r".\1.", key.replace(".mobile_inverted_conv.", ".conv."))


def translation(keys: Iterable[str], own: Iterable[str]) -> dict[str, str]:
    """For every one of `keys` the key of `own` that means the same; itself where there is none."""
    by_plain = {plain_key(key): key for key in own}
    return {key: by_plain.get(plain_key(key), key) for key in keys}


def use_published_names(network: nn.Module) -> None:
    """Let `network.state_dict` give the published keys, and `load_state_dict` take either style.

    The published elastic layers wrap a plain one; here they are one, so its tensors lack a name.
    """
    hooks: Any = network  # torch's hooks of state dicts have no types
    hooks._register_state_dict_hook(_publish)
    hooks._register_load_state_dict_pre_hook(_rename, with_module=True)
    hooks.register_load_state_dict_post_hook(_report)


def _published(network: nn.Module) -> dict[str, str]:
    """The published key of every tensor, by its name in the network."""
    keys = {}
    for path, module in network.named_modules():
        *_, last = path.split(".")
        wrapped = isinstance(module, Elastic) and last in ("conv", "bn", "linear")
        for name in (*module._parameters, *module._buffers):
            within = f"{last}.{name}" if wrapped and not name.endswith("_matrix") else name
            keys[f"{path}.{name}" if path else name] = f"{path}.{within}" if path else within
    return keys


def _publish(network: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """After `state_dict`: every key as published, in the same order."""
    names = {prefix + own: prefix + key for own, key in _published(network).items()}
    for key in list(state):
        state[names.get(key, key)] = state.pop(key)


def _rename(network: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before loading: every key as the network's own."""
    own = [prefix + name for name in _published(network)]
    for key, name in translation(list(state), own).items():
        if name != key and name not in state:
            state[name] = state.pop(key)


def _report(network: nn.Module, incompatible: Any) -> None:
    """After loading: keys that are missing, as published."""
    names = _published(network)
    missing = incompatible.missing_keys
    missing[:] = [names.get(key, key) for key in missing]
