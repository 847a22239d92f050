"""What one-shot strategies are made of, against independent computations."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from nasplug_oneshot.controller import Controller
from nasplug_oneshot.costs import Costs, expected
from nasplug_oneshot.proposals import nonempty, the_rest
from nasplug_oneshot.ranking import by_fronts, by_probability, feasible_first
from nasplug_oneshot.relaxations import AJAR, BinaryGates, Gumbel, Softmax

from nasplug import Constraint, Objective, Problem
from nasplug.testing import ToySpace
from nasplug.toolkit.searching import pareto
from nasplug.toolkit.training.second_order import second_order_gradient

ALPHAS = [torch.tensor([0.5, -1.0, 0.3]), torch.tensor([1.0, 0.0]), torch.tensor([0.7])]
EVERY = [Softmax(), Gumbel(), Gumbel(hard=False), BinaryGates(1), BinaryGates(2)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def learning() -> list[torch.Tensor]:
    return [alpha.clone().requires_grad_() for alpha in ALPHAS]


# ---- relaxations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("relaxation", EVERY, ids=lambda r: f"{type(r).__name__} {vars(r)}")
def test_weights_are_shares_with_a_gradient_from_their_seed(relaxation: Any) -> None:
    for draw in (relaxation.for_weights, relaxation.for_alphas):
        alphas = learning()
        weights = draw(alphas, 0.5, generator())
        assert [len(w) for w in weights] == [3, 2, 1]
        for w in weights:
            assert float(w.detach().sum()) == pytest.approx(1) and (w >= 0).all()
        again = draw(alphas, 0.5, generator())
        assert all(torch.equal(a, b) for a, b in zip(weights, again, strict=True))
        other = [draw(alphas, 0.5, generator(seed)) for seed in range(1, 9)]
        assert (type(relaxation) is Softmax) == all(torch.equal(o[0], weights[0]) for o in other)
        (weights[0] * torch.tensor([1.0, 2.0, 4.0])).sum().backward()
        slope = alphas[0].grad
        assert slope.abs().sum() > 0 and abs(float(slope.sum())) < 1e-6


@pytest.mark.parametrize("relaxation", [Gumbel(), BinaryGates(1), BinaryGates(2)])
def test_one_option_is_open_as_often_as_it_is_likely(relaxation: Any) -> None:
    source, counts = generator(), torch.zeros(3)
    for _ in range(2000):
        weights = relaxation.for_weights(ALPHAS, 0.3, source)[0]
        assert sorted(weights.tolist()) == [0.0, 0.0, 1.0]
        counts += weights
    torch.testing.assert_close(counts / 2000, ALPHAS[0].softmax(0), atol=0.04, rtol=0)


def test_relaxed_samples_harden_as_they_cool() -> None:
    gumbel = Gumbel(hard=False, initial_temperature=10.0, final_temperature=0.01)
    hottest = [float(gumbel.for_alphas(ALPHAS, t, generator())[0].max()) for t in (0.0, 0.5, 1.0)]
    assert hottest == sorted(hottest) and hottest[0] < 0.5 and hottest[2] > 0.99


def test_two_gates_compete_by_equation_4() -> None:
    """d L / d alpha_i is the sum over the two of dL/dg_j p_j (delta_ij - p_i), p among the two."""
    alphas = [torch.tensor([0.2, -0.4, 0.9], requires_grad=True)]
    gates = BinaryGates(2).for_alphas(alphas, 0.0, generator(1))[0]
    pair = torch.nonzero(gates.detach())[:, 0]
    assert len(pair) == 2 and sorted(gates.detach()[pair].tolist()) == pytest.approx(
        [AJAR, 1 - AJAR]
    )
    slope = torch.tensor([1.0, -2.0, 0.5])
    (gates * slope).sum().backward()
    p = alphas[0].detach()[pair].softmax(0)
    wanted = torch.zeros(3)
    wanted[pair] = p * (slope[pair] - (slope[pair] * p).sum())
    torch.testing.assert_close(alphas[0].grad, wanted)


# ---- the second-order gradient ---------------------------------------------------------------------


def test_unrolled_is_the_derivative_through_a_step_of_the_weights() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, 4, dtype=torch.float64)
    weights = [torch.randn(4, dtype=torch.float64, requires_grad=True)]
    alphas = [torch.randn(5, dtype=torch.float64, requires_grad=True)]
    rate = 0.1

    def loss(data: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return (torch.tanh(data @ w) * alphas[0].softmax(0)).pow(2).sum() + 0.1 * w.pow(4).sum()

    before = weights[0].detach().clone()
    found = second_order_gradient(
        lambda: loss(a, weights[0]), lambda: loss(b, weights[0]), weights, alphas, rate
    )
    (step,) = torch.autograd.grad(loss(a, weights[0]), weights, create_graph=True)
    (exact,) = torch.autograd.grad(loss(b, weights[0] - rate * step), alphas)
    (plain,) = torch.autograd.grad(loss(b, weights[0]), alphas)
    torch.testing.assert_close(found[0], exact, atol=1e-5, rtol=1e-3)
    assert (plain - exact).abs().max() > 1e-2, "the second order matters here"
    assert torch.equal(weights[0].detach(), before)


# ---- from probabilities to architectures -----------------------------------------------------------


@pytest.mark.parametrize("space", [ToySpace(), ToySpace(even=True)])
def test_the_most_probable_come_first(space: ToySpace) -> None:
    rng = np.random.default_rng(0)
    shares = [rng.dirichlet(np.ones(len(v.options))) for v in space.variables]

    def gap(arch: Any) -> float:
        on = space.active([arch])[0]
        return sum(
            float(np.log(p.max() / p[g])) for p, g, a in zip(shares, arch, on, strict=True) if a
        )

    found = list(by_probability(space, shares))
    every = space.valid(space.enumerate())
    assert set(found) == set(every) and len(found) == len(every)
    assert [gap(a) for a in found] == pytest.approx(sorted(gap(a) for a in every))
    assert space.even or gap(found[0]) == 0


def test_large_spaces_are_enumerated_as_far_as_asked() -> None:
    space = ToySpace(layers=60)
    shares = [np.full(len(v.options), 1 / len(v.options)) for v in space.variables]
    found = list(itertools.islice(by_probability(space, shares), 300))
    assert len(set(found)) == 300 and space.valid(found) == found


def test_fronts_from_the_best_down() -> None:
    rng = np.random.default_rng(0)
    losses, violation = rng.random((40, 2)), rng.choice([0.0, 0.0, 0.5, 0.2], 40)
    losses[7] = np.nan
    order = by_fronts(losses, violation)
    assert sorted(order) == list(range(40))
    good = int((violation == 0).sum() - (violation[7] == 0))
    front = int(pareto.nondominated(losses, violation).sum())
    assert pareto.nondominated(losses, violation)[order[:front]].all()
    assert (violation[order[:good]] == 0).all() and 7 not in order[:good]
    assert (np.diff(violation[order[good:]]) >= 0).all()
    single = by_fronts(losses[:7, :1], np.zeros(7))
    assert list(single) == list(np.argsort(losses[:7, 0]))


def test_feasible_first_keeps_the_order() -> None:
    archs = [(k,) for k in range(6)]
    kept = feasible_first(iter(archs), lambda found: np.array([a[0] % 2 == 1 for a in found]))
    assert [a[0] for a in kept] == [1, 3, 5, 0, 2, 4]


# ---- costs -----------------------------------------------------------------------------------------

GOALS = (
    Objective("top1", "%", "maximize"),
    Objective("latency", "ms", "minimize"),
    Objective("macs", "", "minimize"),
)


def costs(**knobs: Any) -> Costs:
    problem = Problem(ToySpace(), GOALS, closed_form=("macs",))
    return Costs(replace(problem, **knobs), ("top1", "loss"))


def test_costs_are_computed_or_learnt() -> None:
    made, space = costs(), ToySpace()
    assert made.names == ("latency", "macs") and made.learnt == ["latency"]
    slope = np.random.default_rng(1).normal(size=space.features([(0, 0, 0, 0)]).shape[1])
    archs = space.valid(space.sample(30, np.random.default_rng(0)))
    latency = 5 + space.features(archs) @ slope
    values = np.stack([np.full(30, 50.0), latency, np.zeros(30)], 1)
    values[3] = np.nan
    made.tell(archs, values)
    every = space.enumerate()
    found = made.values(every)
    assert (found[:, 1] == space.costs(every)["macs"]).all()
    assert np.corrcoef(found[:, 0], 5 + space.features(every) @ slope)[0, 1] > 0.98


def test_costs_that_nobody_told_say_nothing() -> None:
    made = costs(objectives=GOALS[:2], closed_form=())
    assert (made.values(ToySpace().enumerate()) == 0).all()
    assert np.ptp(made.penalty(1.0, np.ones(1), 0.0)(ToySpace().enumerate())) == 0


def test_penalties_are_in_standard_deviations_and_breaches() -> None:
    limit = Constraint("params", max=60.0)
    made = costs(
        objectives=(GOALS[0], GOALS[2]), constraints=(limit,), closed_form=("macs", "params")
    )
    every = ToySpace().enumerate()
    known = ToySpace().costs(every)
    plain = made.penalty(0.5, np.ones(1), 0.0)(every)
    assert np.corrcoef(plain, known["macs"])[0, 1] > 0.999
    assert plain.std() == pytest.approx(0.5, rel=0.2)
    breach = made.penalty(0.0, np.ones(1), 2.0)(every)
    np.testing.assert_allclose(breach, 2 * np.maximum(known["params"] - 60, 0) / 60)
    assert (made.feasible(every) == (known["params"] <= 60)).all()


def test_the_gradient_of_an_expected_penalty() -> None:
    """Against the sum over all architectures, averaged over many estimates."""
    space = ToySpace(layers=2, widths=(2, 8))
    macs = lambda archs: space.costs(archs)["macs"] / 50  # noqa: E731
    alphas = [torch.tensor([0.3, -0.2]), torch.tensor([0.5, 0.1]), torch.tensor([-0.4, 0.6])]
    alphas = [alpha.double().requires_grad_() for alpha in alphas]
    total = sum(
        torch.stack([a.softmax(0)[g] for a, g in zip(alphas, genes, strict=True)]).prod()
        * float(macs(space.canonical([genes]))[0])
        for genes in itertools.product((0, 1), repeat=3)
    )
    exact = torch.autograd.grad(total, alphas)
    rng = np.random.default_rng(0)
    mean = [torch.zeros(2, dtype=torch.float64) for _ in alphas]
    for _ in range(150):
        for m, g in zip(
            mean, torch.autograd.grad(expected(space, alphas, macs, rng), alphas), strict=True
        ):
            m += g / 150
    for m, e in zip(mean, exact, strict=True):
        torch.testing.assert_close(m, e, atol=0.02, rtol=0.05)


# ---- the controller, and inherited statistics ------------------------------------------------------


def test_the_controller_draws_as_its_probabilities_say() -> None:
    space = ToySpace(layers=2, widths=(2, 4))
    torch.manual_seed(0)
    controller = Controller(space, hidden=8)
    with torch.no_grad():
        for head in controller.heads:
            head.weight.mul_(200)
        sample = controller(4000, generator())
    archs = list(map(tuple, space.canonical(sample.genes.numpy()).tolist()))
    p = dict(zip(archs, sample.log_p.exp().tolist(), strict=True))
    assert sum(p.values()) == pytest.approx(1, abs=1e-4) and len(p) == space.size
    for arch, share in p.items():
        assert archs.count(arch) / 4000 == pytest.approx(share, abs=0.03)
    assert float(-sample.log_p.mean()) == pytest.approx(float(sample.entropy.mean()), abs=0.05)
    assert max(p.values()) > 1.5 * min(p.values())


# ---- asking ----------------------------------------------------------------------------------------


def test_an_empty_batch_is_not_the_end() -> None:
    batches = iter([[], [(0,), (1,)], [], [(2,)]])
    assert list(nonempty(batches)) == [[(0,), (1,)], [(2,)]]


def test_the_rest_is_everything_else_once() -> None:
    space, seen = ToySpace(layers=2), {(0, 1, 0)}
    found = [a for batch in the_rest(space, seen, np.random.default_rng(0)) for a in batch]
    assert len(found) == len(set(found)) == space.size - 1 and (0, 1, 0) not in found
    assert seen == set(space.valid(space.enumerate()))
