"""What follows from design variables, on random spaces; and fronts, by brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasplug import NasplugError, SearchSpace, Variable
from nasplug.toolkit.searching import pareto


class AnySpace(SearchSpace):
    """Variables and nothing else."""

    def __init__(self, variables):
        self._variables = tuple(variables)

    @property
    def variables(self):
        return self._variables

    def build(self, arch):
        raise AssertionError

    def example_inputs(self, batch_size):
        raise AssertionError


@st.composite
def spaces(draw):
    """Up to seven variables, each with conditions on earlier ones: none, one, or alternatives."""
    variables = []
    for j in range(draw(st.integers(1, 7))):
        condition = st.dictionaries(
            st.sampled_from([v.name for v in variables]) if variables else st.nothing(),
            st.sets(st.integers(0, 2), max_size=3).map(sorted),
            min_size=1,
            max_size=2,
        )
        when = draw(st.lists(condition, max_size=2)) if variables else []
        variables.append(Variable(f"v{j}", tuple(range(draw(st.integers(1, 3)))), when=tuple(when)))
    return AnySpace(variables)


def takes_part(space, genes):
    """Activity, one architecture at a time, straight from the words of `Variable`."""
    values = {}
    active = {}
    for variable, gene in zip(space.variables, genes, strict=True):
        active[variable.name] = not variable.conditions or any(
            all(active[name] and values[name] in allowed for name, allowed in condition.items())
            for condition in variable.conditions
        )
        values[variable.name] = variable.options[gene]
    return [active[v.name] for v in space.variables]


def everything(space):
    return np.array(list(itertools.product(*(range(len(v.options)) for v in space.variables))))


@settings(max_examples=150, deadline=None)
@given(spaces())
def test_activity_is_what_the_conditions_say(space):
    genes = everything(space)
    assert space.active(genes).tolist() == [takes_part(space, row) for row in genes]


@settings(max_examples=150, deadline=None)
@given(spaces())
def test_size_counts_canonical_forms(space):
    distinct = set(space.valid(everything(space)))
    assert space.size == len(distinct) == len(space.enumerate())


@settings(max_examples=100, deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_canonical_encode_decode_and_features(space, seed):
    rng = np.random.default_rng(seed)
    genes = space.canonical(everything(space)[rng.permutation(len(everything(space)))[:20]])
    assert (space.canonical(genes) == genes).all()
    for arch in space.valid(genes):
        assert space.arch(space.config(arch)) == arch
        for other in space.neighbours(arch):
            assert other != arch and space.valid([other]) == [other]
    same = [[a == b for b in space.valid(genes)] for a in space.valid(genes)]
    features = space.features(genes)
    assert same == [[bool((a == b).all()) for b in features] for a in features]


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(1, 40), st.integers(0, 2**32))
def test_samples_are_distinct_and_as_many_as_there_are(space, n, seed):
    drawn = space.valid(space.sample(n, np.random.default_rng(seed)))
    assert len(set(drawn)) == len(drawn) == min(n, space.size)


def test_entangled_spaces_of_any_size_are_counted():
    """Blocks behind depths, as in super-networks, and a chain of conditions."""
    blocks = [Variable("depth", (1, 2, 3, 4))]
    blocks += [
        Variable(f"k{i}", tuple(range(9)), when={"depth": range(i, 5)}) for i in (1, 2, 3, 4)
    ]
    assert AnySpace(blocks).size == 9 + 9**2 + 9**3 + 9**4
    copies = [
        Variable(f"{c}.{v.name}", v.options, when={f"{c}.{k}": o for k, o in dict(v.when).items()})
        for c in range(6)
        for v in blocks
    ]
    assert AnySpace(copies).size == (9 + 9**2 + 9**3 + 9**4) ** 6


def test_a_condition_on_a_later_variable_is_an_error():
    space = AnySpace([Variable("a", (1, 2), when={"b": (1,)}), Variable("b", (1, 2))])
    with pytest.raises(
        NasplugError, match="`when` of 'a' must name earlier variables, but got 'b'"
    ):
        space.active([(0, 0)])


def test_config_mistakes_are_named():
    space = AnySpace([Variable("kernel", (3, 5, 7))])
    with pytest.raises(NasplugError, match="unknown design variable 'kernal'; did you mean kernel"):
        space.arch({"kernal": 3})
    with pytest.raises(NasplugError, match=r"kernel must be one of \[3, 5, 7\], but got 4"):
        space.arch({"kernel": 4})


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), min_size=1, max_size=25
    )
)
def test_front_by_brute_force(points):
    losses = np.array([p[:2] for p in points], float)
    violation = np.array([float(p[2]) for p in points])
    mask = pareto.nondominated(losses, violation)
    feasible = {tuple(p) for p, v in zip(losses, violation, strict=True) if v == 0}
    best = {
        p for p in feasible if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in feasible)
    }
    assert sorted(map(tuple, losses[mask])) == sorted(best)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=9
    )
)
def test_hypervolume_by_counting_cubes(points):
    losses = np.array(points, float)
    reference = np.full(3, 6.0)
    cubes = sum(
        any(all(p <= c for p, c in zip(point, cube, strict=True)) for point in points)
        for cube in itertools.product(range(6), repeat=3)
    )
    assert pareto.hypervolume(losses, reference) == pytest.approx(cubes)
    assert pareto.hypervolume(losses, reference, np.zeros(3)) == pytest.approx(cubes / 216)


def test_what_failed_is_on_no_front():
    losses = np.array([[np.nan, np.nan], [1.0, 2.0], [np.inf, 0.0]])
    assert pareto.nondominated(losses).tolist() == [False, True, False]
    assert pareto.hypervolume(losses, np.array([3.0, 3.0])) == pytest.approx(2.0)


def test_knee_is_the_compromise():
    losses = np.array([[0.0, 10.0], [1.0, 2.0], [10.0, 0.0], [4.0, 1.5]])
    assert pareto.knee(losses) == 1
