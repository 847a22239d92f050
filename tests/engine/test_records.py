"""The columns of the ledger give back the records that went in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from light import LightSpace

from nasplug import Failure, Measurement, SearchSpace, Variable
from nasplug.contracts.types import Record, Trial
from nasplug.engine.records import RecordTable

SPACE = LightSpace()
ARCHS = [tuple(row) for row in SPACE.enumerate()[:200].tolist()]
number = st.floats(allow_nan=False, allow_infinity=False)
metrics = st.dictionaries(st.sampled_from(["a", "b", "c"]), number)
outcomes = st.one_of(
    st.builds(Measurement, metrics, st.floats(0, 1e6), metrics, st.none() | st.floats(0, 64)),
    st.builds(Failure, st.text(), st.floats(0, 1e6)),
)


@given(st.lists(outcomes, max_size=30), st.randoms(use_true_random=False))
def test_what_goes_in_comes_out(found, dice):
    numbers = list(range(len(found)))
    dice.shuffle(numbers)
    records = [
        Record(n, Trial(ARCHS[i]), o) for i, (n, o) in enumerate(zip(numbers, found, strict=True))
    ]
    table = RecordTable(SPACE)
    for record in records:
        table.add(record)
    assert [table.record(row) for row in range(len(table))] == records
    assert [table.record(row).number for row in table.order()] == sorted(numbers)
    for record in records:
        assert record.trial in table and table.record(table.row(record.trial)) == record
    assert Trial(ARCHS[-1]) not in table
    assert table.archs().tolist() == [list(r.arch) for r in records]
    want = [getattr(r.outcome, "values", {}).get("a", np.nan) for r in records]
    np.testing.assert_array_equal(table.values("a"), want)
    np.testing.assert_array_equal(table.values("a", slice(3, None)), want[3:])


def test_what_is_known_stays_and_what_is_no_architecture_is_refused():
    table = RecordTable(SPACE)
    first = Record(0, Trial(ARCHS[0]), Measurement({"a": 1.0}))
    table.add(first)
    table.add(Record(1, Trial(ARCHS[0]), Failure("again")))
    assert len(table) == 1 and table.record(0) == first and not table.errors
    for wrong in [(0,) * 5, (0, 0, 0, 0, 0, 4), (0, 0, 0, 0, 0, -1)]:
        with pytest.raises((ValueError, OverflowError)):
            table.append(2, Trial(wrong), 0.0, {}, {}, None)
    assert len(table) == 1


def test_options_by_the_thousand():
    class Wide(LightSpace, SearchSpace):
        variables = (Variable("w", tuple(range(70_000))), Variable("v", (1, 2)))

    table = RecordTable(Wide())
    table.add(Record(0, Trial((69_999, 1)), Measurement({"a": 1.0})))
    assert Trial((69_999, 1)) in table and Trial((4463, 1)) not in table
    assert table.record(0).arch == (69_999, 1)


def test_columns_do_not_change_under_whoever_has_them():
    table = RecordTable(SPACE)
    table.add(Record(0, Trial(ARCHS[0]), Measurement({"a": 1.0})))
    kept = [table.values("a"), table.numbers(), table.seconds(), table.archs()]
    table.add(Record(1, Trial(ARCHS[1]), Measurement({"a": 2.0})))
    assert [len(column) for column in kept] == [1, 1, 1, 1]


def test_the_same_architecture_at_another_fidelity_is_another_trial():
    table, arch = RecordTable(SPACE), ARCHS[0]
    trials = [Trial(arch, 0.25), Trial(arch), Trial(arch, 1.0, 1)]
    for number, trial in enumerate(trials):
        assert trial not in table
        table.add(Record(number, trial, Measurement({"a": float(number)})))
    assert [table.record(table.row(trial)).trial for trial in trials] == trials
    assert table.fidelities().tolist() == [0.25, 1, 1] and table.repeats().tolist() == [0, 0, 1]
