"""The once-for-all super-networks against what the authors' own code computes with the same weights."""

import pytest
import torch

import nasplug

KNOWN = [
    (
        "ofa_mbv3",
        {
            "ks": [5, 3, 3, 3, 5, 5, 7, 5, 7, 7, 3, 3, 7, 7, 3, 3, 3, 5, 3, 3],
            "e": [4, 3, 3, 3, 6, 4, 6, 4, 3, 6, 4, 3, 6, 3, 3, 3, 4, 4, 3, 3],
            "d": [4, 4, 3, 2, 2],
        },
        [119.1934, -12.8758, 98.3398, 57.8411, -19.5882, -8.1135],
    ),
    (
        "ofa_mbv3",
        {
            "ks": [5, 3, 7, 5, 7, 7, 5, 7, 7, 5, 7, 3, 5, 7, 7, 3, 3, 7, 5, 3],
            "e": [4, 4, 4, 6, 4, 6, 6, 6, 3, 6, 4, 3, 6, 3, 4, 3, 3, 4, 4, 3],
            "d": [4, 4, 3, 3, 3],
        },
        [320.9666, 58.9098, 88.2136, 525.9227, 101.0156, 147.717],
    ),
    (
        "ofa_proxyless",
        {
            "ks": [5, 3, 3, 3, 5, 5, 7, 5, 7, 7, 3, 3, 7, 7, 3, 3, 3, 5, 3, 3, 7],
            "e": [4, 3, 3, 3, 6, 4, 6, 4, 3, 6, 4, 3, 6, 3, 3, 3, 4, 4, 3, 3, 4],
            "d": [4, 4, 3, 2, 2, 1],
        },
        [-0.0845, -1.1058, -0.3548, -0.1055, -1.2293, -0.1969],
    ),
    (
        "ofa_proxyless",
        {
            "ks": [3, 7, 5, 3, 7, 5, 7, 3, 5, 7, 3, 3, 7, 7, 5, 5, 7, 5, 3, 3, 3],
            "e": [4, 4, 6, 3, 6, 6, 6, 3, 6, 4, 3, 3, 3, 4, 6, 3, 4, 4, 3, 3, 3],
            "d": [3, 3, 2, 4, 2, 1],
        },
        [-0.388, 0.144, -1.583, -0.5048, -0.1075, -1.4558],
    ),
    (
        "ofa_resnet50",
        {
            "d": [2, 0, 2, 2, 0],
            "e": [
                0.2,
                0.2,
                0.2,
                0.2,
                0.35,
                0.25,
                0.25,
                0.35,
                0.25,
                0.25,
                0.35,
                0.2,
                0.35,
                0.35,
                0.35,
                0.25,
                0.2,
                0.2,
            ],
            "w": [2, 1, 0, 1, 1, 1],
        },
        [681.6161, 2010.2317, -144.7843, 671.8554, 2001.5638, -111.5705],
    ),
    (
        "ofa_resnet50",
        {
            "d": [2, 0, 1, 0, 1],
            "e": [
                0.2,
                0.25,
                0.2,
                0.2,
                0.25,
                0.2,
                0.2,
                0.2,
                0.25,
                0.25,
                0.2,
                0.25,
                0.2,
                0.2,
                0.35,
                0.35,
                0.25,
                0.2,
            ],
            "w": [2, 0, 2, 1, 2, 2],
        },
        [-57.9579, 1895.1475, 474.1152, 0.0809, 1924.2556, 515.4654],
    ),
]
"""Space, published configuration, and the first three outputs for each of two images of 64 pixels."""


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def numbers(state):
    """A state dict of the same shapes, of weights that keep signals at their size."""
    found = {}
    for k, (key, value) in enumerate(state.items()):
        found[key] = value
        if value.is_floating_point():
            noise = drawn(*value.shape, seed=k)
            if "matrix" in key:
                found[key] = torch.eye(len(value)) + noise / 20
            elif value.ndim > 1:
                found[key] = noise * (2 / value[0].numel()) ** 0.5
            elif key.endswith(("running_var", "bn.weight")):
                found[key] = 1 + noise.abs() / 2
            else:
                found[key] = noise / 10
    return found


IMAGES = drawn(2, 3, 64, 64, seed=0)


@pytest.mark.parametrize(("name", "config", "expected"), KNOWN)
def test_outputs_are_those_of_the_authors_networks(name, config, expected):
    space = nasplug.make("space", name, image_size=64)
    network = space.supernet()
    network.load_state_dict(numbers(network.state_dict()))
    arch = space.from_ofa(config)
    network.eval().activate(arch)
    with torch.no_grad():
        outputs = [network(IMAGES), network.extract(arch).eval()(IMAGES)]
    for found in outputs:
        largest = float(found.abs().max())
        assert found[:, :3].flatten().tolist() == pytest.approx(expected, abs=2e-4 * largest)
        assert float((found[0] - found[1]).abs().max()) > 0.05 * largest
