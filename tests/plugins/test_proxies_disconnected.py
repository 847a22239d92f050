"""Cells through which little or nothing flows: a score or a reason, never a traceback."""

import pytest
from nasplug_proxies.scoring.batches import ProxyBatches
from nasplug_proxies.scoring.scoring import scores

import nasplug
from nasplug import Aggregator, Failure, seeded

CELLS = {
    "nothing at all": (0, 0, 0, 0, 0, 0),
    "skips only": (0, 0, 0, 1, 0, 0),
    "an end that leads nowhere": (3, 0, 0, 0, 0, 0),
    "a beginning that nothing reaches": (0, 0, 0, 0, 0, 3),
}


@pytest.mark.parametrize("arch", CELLS.values(), ids=CELLS)
def test_every_proxy_scores_it_or_says_why_not(arch):
    task = nasplug.make("task", "digits", image_size=8)
    space = nasplug.make(
        "space", "nasbench201", isomorphic=False, channels=4, cells=1, **task.network_dimensions
    )
    parts = {name: nasplug.make("proxy", name) for name in nasplug.choices("proxy")}
    proxies = {name: part for name, part in parts.items() if not isinstance(part, Aggregator)}
    with seeded(0):
        network = space.build(arch)
    found = scores(proxies, network, ProxyBatches(space.example_inputs, task, 16))
    assert found.keys() == proxies.keys()
    for name, score in found.items():
        assert isinstance(score, float) or (isinstance(score, Failure) and name in score.error)
    assert found["params"] == sum(p.numel() for p in network.parameters())
