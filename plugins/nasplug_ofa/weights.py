"""Published weights: where they are, and the two styles in which their keys are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

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


def accept_both_styles(network: nn.Module) -> None:
    """Let `network.load_state_dict` take keys of either style."""
    network._register_load_state_dict_pre_hook(_rename, with_module=True)


def _rename(network: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    own = [prefix + key for key in network.state_dict()]
    for key, name in translation(list(state), own).items():
        if name != key and name not in state:
            state[name] = state.pop(key)
