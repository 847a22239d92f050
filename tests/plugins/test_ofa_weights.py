"""Published state dicts load, in either style of their keys."""

import json

import pytest
import torch
from nasplug_ofa.spaces.mobilenetv3 import OfaMobileNetV3
from nasplug_ofa.spaces.proxyless import OfaProxylessNAS
from nasplug_ofa.spaces.resnet import OfaResNet50
from nasplug_ofa.weights import plain_key, translation

from nasplug import seeded

NETS = {
    "ofa_mbv3_d234_e346_k357_w1.0": OfaMobileNetV3,
    "ofa_proxyless_d234_e346_k357_w1.3": OfaProxylessNAS,
    "ofa_resnet50": OfaResNet50,
}
STYLES = {
    "published": lambda key: key,
    "unwrapped": plain_key,
    "oldest": lambda key: (
        plain_key(key).replace(".conv.", ".mobile_inverted_conv.", 1)
        if key.startswith("blocks.") and ".conv." in key and "conv1" not in key
        else plain_key(key)
    ),
}


def checkpoint(shapes, style):
    """What a published file holds: numbers that tell every tensor apart."""
    with seeded(0):
        return {
            style(key): torch.randn(shape) if shape else torch.tensor(3)
            for key, shape in shapes.items()
        }


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("style", ["published", "unwrapped"])
def test_both_styles_load(shared_data, name, style):
    shapes = json.loads((shared_data / "ofa/state_dict_shapes.json").read_text())[name]
    state = checkpoint(shapes, STYLES[style])
    with torch.device("meta"):
        network = NETS[name]().supernet()
    network.load_state_dict(state, assign=True)
    expected = checkpoint(shapes, STYLES["published"])
    loaded = network.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in expected.items())
    assert STYLES[style](next(k for k in shapes if "bn.bn.weight" in k)) in state, "left as it was"


def test_the_oldest_style_loads():
    with seeded(0):
        network = OfaMobileNetV3(num_classes=3).supernet()
    with seeded(1):
        other = OfaMobileNetV3(num_classes=3).supernet()
    state = {STYLES["oldest"](key): value for key, value in network.state_dict().items()}
    assert "blocks.1.mobile_inverted_conv.depth_conv.bn.weight" in state
    assert "blocks.1.mobile_inverted_conv.depth_conv.conv.7to5_matrix" in state
    other.load_state_dict(state)
    mine, its = network.state_dict(), other.state_dict()
    assert all(torch.equal(mine[key], its[key]) for key in mine)


def test_keys_that_do_not_fit_are_named():
    with torch.device("meta"):
        network = OfaMobileNetV3(num_classes=3).supernet()
    state = network.state_dict()
    del state["blocks.3.conv.point_linear.bn.bn.bias"]
    state["blocks.99.conv.point_linear.bn.bn.bias"] = torch.zeros(1)
    with pytest.raises(RuntimeError, match=r"blocks\.3\.conv\.point_linear\.bn\.bn\.bias") as error:
        network.load_state_dict(state)
    assert "blocks.99.conv.point_linear.bn.bn.bias" in str(error.value)


def test_translation_names_own_keys():
    own = ["input_stem.1.conv.conv.conv.weight", "classifier.linear.linear.bias", "a.bn.bn.weight"]
    keys = ["input_stem.1.conv.conv.weight", "classifier.linear.bias", "a.bn.weight", "b.weight"]
    assert translation(keys, own) == dict(zip(keys, [*own, "b.weight"], strict=True))


@pytest.mark.parametrize("kind", NETS.values())
def test_no_two_keys_mean_the_same(kind):
    with torch.device("meta"):
        keys = list(kind().supernet().state_dict())
    assert len({plain_key(key) for key in keys}) == len(keys)
