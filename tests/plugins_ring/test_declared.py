"""What plug-ins declare: wrong numbers are refused in one line, whichever part they are of."""

import pytest

import nasplug
from nasplug.plugins.checking import declared
from nasplug.testing import ToySpace

NAN = float("nan")
COSTS = {"batch_size": 0, "threads": 0, "warm_up": -1, "seconds": NAN}
PROXIES = {"batch_size": 1, "repeats": 0, "population": 1, "seed": -1}
PROXY = [
    ("zen", {"samples": 1}), ("zen", {"alpha": 0.0}), ("ntk", {"samples": 0}),
    ("jacob_cov", {"k": NAN}), ("epe_nas", {"k": 0.0}), ("zico", {"batches": 1}),
    ("meco", {"samples": 0}), ("linear_regions", {"points": 1}), ("swap", {"samples": 0}),
    ("swap_reg", {"sigma": 0.0}),
]  # fmt: skip
CASES = [
    *(("evaluator", "costs", {key: value}) for key, value in COSTS.items()),
    *(("evaluator", "proxies", {key: value}) for key, value in PROXIES.items()),
    *(("proxy", name, knobs) for name, knobs in PROXY),
]


@pytest.mark.parametrize(("group", "choice", "knobs"), CASES)
def test_refused(group, choice, knobs):
    space = {"space": ToySpace()} if group == "evaluator" else {}
    (name,) = knobs
    with pytest.raises(nasplug.NasplugError, match=rf"^{name} of \w+ must be (int|float), "):
        nasplug.make(group, choice, **space, **knobs)


def test_a_search_checks_what_was_built_without_make():
    costs = type(nasplug.make("evaluator", "costs", space=ToySpace()))
    assert "threads" in declared(costs)
    with pytest.raises(nasplug.NasplugError, match="threads of Costs must be int, at least 1"):
        nasplug.search(
            ToySpace(),
            costs(ToySpace(), threads=0),
            nasplug.make("strategy", "random"),
            ["macs"],
            3,
        )
