"""All proxies at once: what the evaluator, the shared passes and every proxy must keep."""

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from nasplug_proxies.evaluator import Proxies
from nasplug_proxies.scoring.batches import ProxyBatches
from nasplug_proxies.scoring.scoring import scores
from proxy_parts import Images, Stripes
from torch.nn import functional

import nasplug
from nasplug import Measurement, NasplugError
from nasplug.contracts.proxy import Aggregator
from nasplug.contracts.types import full_trials
from nasplug.testing import EvaluatorContract, ProxyContract

ALL = nasplug.choices("proxy")
PARTS = {name: nasplug.make("proxy", name) for name in ALL}
SINGLE = {name: part for name, part in PARTS.items() if not isinstance(part, Aggregator)}
ARCHS = [(0, 0), (0, 2), (1, 1), (1, 2)]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Scores kept by other runs, of code that has changed since, are not for here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def space():
    return Images()


@pytest.fixture(scope="module")
def evaluator(space):
    return Proxies(space, Stripes(), batch_size=8, population=4)


@pytest.fixture(scope="module")
def together(evaluator):
    """All proxies asked for at once."""
    return [outcome.values for outcome in evaluator.evaluate(full_trials(ARCHS), ALL)]


class TestContract(EvaluatorContract):
    @pytest.fixture
    def space(self):
        return Images()

    @pytest.fixture
    def evaluator(self):
        return Proxies(Images(), Stripes(), batch_size=8, population=4)


DRAWN = [n for n, p in SINGLE.items() if p.init != "own" or p.input == "gaussian" or p.double]
"""Proxies that draw weights or inputs in their own precision, or are in double precision anyway."""


@pytest.mark.parametrize("name", [n for n in SINGLE if n not in {*DRAWN, "zico"}], scope="class")
class TestProxies(ProxyContract):
    @pytest.fixture
    def proxy(self, name):
        return SINGLE[name]


@pytest.mark.parametrize("name", [*DRAWN, "zico"], scope="class")
class TestProxiesThatDraw(ProxyContract):
    tolerance = None

    @pytest.fixture
    def proxy(self, name):
        return SINGLE[name]


def test_every_installed_choice_is_a_metric_and_scores(together):
    assert set(Proxies(Images()).metrics) == set(ALL)
    assert len(ALL) >= 25
    for values in together:
        assert all(math.isfinite(values[name]) for name in ALL)


def test_sizes_are_costs_and_the_rest_scores(evaluator):
    smaller = {n for n, m in evaluator.metrics.items() if m.direction == "minimize"}
    assert smaller == {"params", "flops"}


@pytest.mark.parametrize("name", ALL)
def test_alone_and_together_a_score_is_the_same(name, evaluator, together):
    (alone,) = evaluator.evaluate(full_trials(ARCHS[-1:]), [name])
    assert alone.values == {name: together[-1][name]}


def test_scores_tell_architectures_apart_and_follow_the_seed(space, together):
    other = Proxies(space, Stripes(), batch_size=8, population=4, seed=1)
    again = [o.values for o in other.evaluate(full_trials(ARCHS[:1]), list(SINGLE))]
    for name in SINGLE:
        assert len({values[name] for values in together}) > 1, name
        assert (again[0][name] == together[0][name]) == (name in {"params", "flops"}), name


def snapshot(model):
    """Everything about a model that a proxy must leave, and the random state."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return (
        {n: (id(t), t.data_ptr(), t.dtype, t.detach().clone()) for n, t in tensors.items()},
        {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None},
        [(n, p.requires_grad) for n, p in model.named_parameters()],
        [(n, m.training, vars(m).get("inplace"), "forward" in vars(m)) for n, m in model.named_modules()],
        [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        torch.get_rng_state(),
    )  # fmt: skip


def same(a, b):
    """Whether two snapshots are equal, bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("name", SINGLE)
def test_leaves_the_network_and_the_random_state_bit_for_bit(name, space):
    torch.manual_seed(11)
    model = space.build((1, 1))
    batch = next(Stripes().train_batches(8, 3))
    functional.cross_entropy(model(batch[0]), batch[1]).backward()
    model[0].eval()
    model[1].body[0].weight.requires_grad_(False)
    before = snapshot(model)
    found = scores({name: SINGLE[name]}, model, ProxyBatches(space.example_inputs, Stripes(), 8))
    assert isinstance(found[name], float)
    assert same(before, snapshot(model))


def test_leaves_the_network_where_a_proxy_breaks_down(space):
    class Breaks(nasplug.ZeroCostProxy):
        normalisation = False
        init = "normal"
        double = True

        def score(self, probe):
            for parameter in probe.model.parameters():
                parameter.data.zero_()
            raise RuntimeError("broken")

    model = space.build((0, 0))
    before = snapshot(model)
    with pytest.raises(RuntimeError, match="broken"):
        scores({"it": Breaks()}, model, ProxyBatches(space.example_inputs, Stripes(), 8))
    before[-1].copy_(torch.get_rng_state())
    assert same(before, snapshot(model))


def test_works_within_no_grad(space, together):
    with torch.no_grad():
        (outcome,) = Proxies(space, Stripes(), batch_size=8).evaluate(
            full_trials(ARCHS[:1]), ["snip", "grasp"]
        )
    assert outcome.values == {name: together[0][name] for name in ("snip", "grasp")}


def test_passes_are_shared(space):
    """One forward pass by hooks for all that need only hooks, whatever their number."""
    calls = []
    with nasplug.seeded(0):
        model = space.build((0, 0))
    model.register_forward_hook(lambda *_: calls.append(1))
    names = ["grad_norm", "snip", "plain", "fisher", "l2_norm", "params", "nwot", "jacob_cov"]
    found = scores(
        {n: SINGLE[n] for n in names}, model, ProxyBatches(space.example_inputs, Stripes(), 8)
    )
    assert len(calls) == 1
    assert list(found) == names


# ---- the evaluator -------------------------------------------------------------------------------


def test_listing_metrics_does_not_load_torch():
    code = (
        "import sys; from nasplug_proxies.evaluator import Proxies; "
        "assert len(Proxies.__new__(Proxies).metrics) > 20; assert 'torch' not in sys.modules"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)


def test_repeats_average_and_tell_their_spread(space):
    runs = [Proxies(space, Stripes(), batch_size=8, seed=s) for s in (3, 4)]
    one, two = (e.evaluate(full_trials([(0, 1)]), ["snip"])[0].values["snip"] for e in runs)
    (outcome,) = Proxies(space, Stripes(), 8, repeats=2, seed=3).evaluate(
        full_trials([(0, 1)]), ["snip"]
    )
    assert outcome.values["snip"] == pytest.approx((one + two) / 2)
    assert outcome.std["snip"] == pytest.approx(np.std([one, two], ddof=1))


def test_options_reach_one_proxy(space):
    plain = Proxies(space, options={"synflow": {"log": False}})
    (raw,), (log,) = (
        e.evaluate(full_trials([(0, 1)]), ["synflow"]) for e in (plain, Proxies(space))
    )
    assert math.log1p(raw.values["synflow"]) == pytest.approx(log.values["synflow"])
    with pytest.raises(NasplugError, match="synfow"):
        Proxies(space, options={"synfow": {}}).evaluate(full_trials([(0, 1)]), ["synflow"])


def test_aggregators_rank_within_a_set(space):
    evaluator = Proxies(space, Stripes(), batch_size=8)
    archs = space.valid(space.enumerate())
    members = [evaluator.scores(archs, name) for name in PARTS["vote"].members]
    assert (evaluator.scores(archs, "vote") == PARTS["vote"].combine(np.stack(members, 1))).all()
    assert evaluator.scores(archs, "params").argmax() == archs.index((1, 2)), "larger is better"


def test_pickled_it_keeps_no_network(evaluator):
    assert len(pickle.dumps(evaluator)) < 20_000


def test_data_free_proxies_need_no_task(space):
    free = [n for n, p in SINGLE.items() if p.input != "data" and "loss" not in p.needs]
    assert {"synflow", "zen", "meco", "flops", "params", "l2_norm", "linear_regions"} <= set(free)
    (outcome,) = Proxies(space, population=4).evaluate(full_trials([(0, 1)]), [*free, "az_nas"])
    assert isinstance(outcome, Measurement)
