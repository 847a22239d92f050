"""Looking measurements up in a table."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from nasplug_tables.spaces.nasbench201 import NasBench201
from nasplug_tables.spaces.nasbench_macro import NasBenchMacro
from nasplug_tables.table.table import Table

from nasplug import Failure, NasplugError
from nasplug.contracts.types import full_trials
from nasplug.testing import EvaluatorContract, ToySpace

SPACE = ToySpace(layers=2, widths=(2, 4))
ARCHS = SPACE.valid(SPACE.enumerate())


def rows():
    values = np.arange(len(ARCHS), dtype=float)
    return pd.DataFrame({"top1": values, "latency": 100 - values, "note": "text"})


def written(frame, path, **knobs):
    frame.to_csv(path, index=False)
    return Table(SPACE, str(path), **knobs)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"


class TestContract(EvaluatorContract):
    timed = ()

    @pytest.fixture
    def space(self):
        return SPACE

    @pytest.fixture
    def evaluator(self, path):
        return written(rows().assign(architecture=[json.dumps(a) for a in ARCHS]), path)


FORMS = {
    "architecture": lambda a: json.dumps(a),
    "config": lambda a: json.dumps(SPACE.config(a)),
}


@pytest.mark.parametrize("form", FORMS)
def test_reads_what_a_run_writes(form, path):
    table = written(rows().assign(**{form: [FORMS[form](a) for a in ARCHS]}), path)
    assert {n: m.direction for n, m in table.metrics.items()} == {
        "top1": "maximize",
        "latency": "minimize",
    }
    outcomes = table.evaluate(full_trials(ARCHS[::-1]), ["latency", "top1"])
    assert [o.values["top1"] for o in outcomes] == list(range(len(ARCHS)))[::-1]
    assert list(outcomes[0].values) == ["latency", "top1"]


def test_reads_a_column_a_variable(path):
    variables = [v.name for v in SPACE.variables]
    full = [
        {n: SPACE.config(a).get(n, SPACE.variables[j].options[0]) for j, n in enumerate(variables)}
        for a in ARCHS
    ]
    table = written(pd.concat([pd.DataFrame(full), rows()], axis=1), path)
    assert list(table.metrics) == ["top1", "latency"]
    assert table.evaluate(full_trials([ARCHS[3]]), ["top1"])[0].values["top1"] == 3


def test_reads_a_spaces_own_notation(tmp_path):
    space = NasBench201()
    cells = ["|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"]
    pd.DataFrame({"arch": cells, "valid": [61.5]}).to_csv(tmp_path / "t.csv.gz", index=False)
    table = Table(space, str(tmp_path / "t.csv.gz"), units={"valid": "%"})
    assert table.metrics["valid"].unit == "%"
    assert table.evaluate(full_trials([space.parse(cells[0])]), ["valid"])[0].values == {
        "valid": 61.5
    }


def test_directions_and_rows_can_be_said(path):
    frame = rows().assign(architecture=[json.dumps(a) for a in ARCHS], task="one")
    both = pd.concat([frame, frame.assign(task="two", top1=-1.0)])
    table = written(both, path, where={"task": "two"}, minimize=["top1"])
    assert table.metrics["top1"].direction == "minimize"
    assert table.metrics["latency"].direction == "maximize"
    assert table.evaluate(full_trials(ARCHS[:1]), ["top1"])[0].values["top1"] == -1


def test_words_in_a_name_say_which_way(path):
    frame = rows().assign(architecture=[json.dumps(a) for a in ARCHS])
    names = {"latency": "edgegpu_latency_ms", "top1": "glossy"}
    table = written(frame.rename(columns=names), path)
    assert {n: m.direction for n, m in table.metrics.items()} == {
        "glossy": "maximize",
        "edgegpu_latency_ms": "minimize",
    }


def test_a_notation_of_digits_keeps_its_zeros(tmp_path):
    space = NasBenchMacro()
    pd.DataFrame({"arch": ["01200000"], "acc": [1.5]}).to_csv(tmp_path / "t.csv", index=False)
    pd.DataFrame({"net": ["01200000"], "acc": [1.5]}).to_csv(tmp_path / "u.csv", index=False)
    for table in (
        Table(space, str(tmp_path / "t.csv")),
        Table(space, str(tmp_path / "u.csv"), key="net"),
    ):
        assert table.evaluate(full_trials([space.parse("01200000")]), ["acc"])[0].values == {
            "acc": 1.5
        }


@pytest.mark.parametrize("suffix", ["parquet", "data"])
def test_reads_parquet(suffix, tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / f"table.{suffix}"
    rows().assign(architecture=[json.dumps(a) for a in ARCHS]).to_parquet(path)
    table = Table(SPACE, str(path), format="parquet" if suffix == "data" else None)
    assert list(table.metrics) == ["top1", "latency"]
    assert table.evaluate(full_trials([ARCHS[3]]), ["top1"])[0].values["top1"] == 3


def test_files_are_joined_by_architecture(tmp_path):
    archs = [json.dumps(a) for a in ARCHS]
    frame = rows().assign(architecture=archs)
    paths = [str(tmp_path / name) for name in ("accuracy.csv", "latency.csv")]
    frame[["architecture", "top1"]][::-1].to_csv(paths[0], index=False)
    frame[["latency", "architecture"]][1:].to_csv(paths[1], index=False)
    table = Table(SPACE, paths)
    assert list(table.metrics) == ["top1", "latency"]
    half, whole = table.evaluate(full_trials(ARCHS[:2]), ["top1", "latency"])
    assert isinstance(half, Failure) and "has no latency for" in half.error
    assert whole.values == {"top1": 1.0, "latency": 99.0}
    with pytest.raises(NasplugError, match=r"one file alone, but top1 is in .*accuracy\.csv"):
        frame.to_csv(paths[1], index=False)
        _ = Table(SPACE, paths).metrics


def test_values_outside_limits_are_not_measured(path):
    frame = rows().assign(architecture=[json.dumps(a) for a in ARCHS])
    table = written(frame, path, limits={"top1": {"min": 1, "max": 2}})
    below, low, high, above = table.evaluate(full_trials(ARCHS[:4]), ["top1"])
    assert "outside its limits, 0.0" in below.error and "outside its limits, 3.0" in above.error
    assert (low.values["top1"], high.values["top1"]) == (1.0, 2.0)
    with pytest.raises(NasplugError, match="min, max or both"):
        written(frame, path, limits={"top1": {"least": 1}})
    with pytest.raises(NasplugError, match="did you mean top1"):
        _ = written(frame, path, limits={"top": {"min": 1}}).metrics


def test_missing_may_stop_the_run(path):
    frame = rows().assign(architecture=[json.dumps(a) for a in ARCHS])
    table = written(frame[1:], path, missing="error")
    assert table.evaluate(full_trials(ARCHS[1:3]), ["top1"])[0].values["top1"] == 1
    with pytest.raises(NasplugError, match=r"has no row for.*missing=fail goes on"):
        table.evaluate(full_trials(ARCHS[:3]), ["top1"])
    with pytest.raises(NasplugError, match="did you mean fail"):
        written(frame, path, missing="fails")


def test_an_empty_table_has_no_rows(path):
    frame = rows().assign(architecture=[json.dumps(a) for a in ARCHS])[:0]
    table = written(frame, path)
    assert table.metrics == {}


def test_what_is_missing_is_a_failure(path):
    frame = rows().assign(architecture=[json.dumps(a) for a in ARCHS])
    frame.loc[1, "top1"] = np.nan
    table = written(frame[frame.index != 0], path)
    absent, empty, there = table.evaluate(full_trials(ARCHS[:3]), ["top1"])
    assert isinstance(absent, Failure) and "has no row for {'depth': 1" in absent.error
    assert isinstance(empty, Failure) and "has no top1 for" in empty.error
    assert there.values == {"top1": 2.0}


def test_rows_that_differ_are_an_error_unless_said_otherwise(path):
    frame = rows().assign(architecture=[json.dumps(a) for a in ARCHS])
    twice = pd.concat([frame, frame.assign(top1=100.0)])
    with pytest.raises(NasplugError, match=f"{len(ARCHS)} rows repeat one.*duplicates=first"):
        written(twice, path).evaluate(full_trials(ARCHS[:1]), ["top1"])
    equal = pd.concat([frame, frame]).assign(latency=np.nan)
    assert written(equal, path).evaluate(full_trials([ARCHS[2]]), ["top1"])[0].values["top1"] == 2.0
    twice.to_csv(path, index=False)
    for how, value in (("first", 2.0), ("mean", 51.0)):
        table = written(twice, path, duplicates=how)
        assert table.evaluate(full_trials([ARCHS[2]]), ["top1"])[0].values["top1"] == value
    with pytest.raises(NasplugError, match="did you mean mean"):
        written(twice, path, duplicates="means")


def test_lines_are_those_of_the_file(path):
    """Also where only some rows count."""
    frame = rows().assign(architecture=[json.dumps(a) for a in ARCHS], task=["one", "two"] * 3)
    frame.loc[3, "architecture"] = "[9]"
    with pytest.raises(NasplugError, match="line 5: "):
        written(frame, path, where={"task": "two"}).evaluate(full_trials(ARCHS[:1]), ["top1"])
    frame.loc[3, "architecture"] = frame.loc[1, "architecture"]
    with pytest.raises(NasplugError, match="the first of them line 5, of line 3"):
        written(frame, path, where={"task": "two"}).evaluate(full_trials(ARCHS[:1]), ["top1"])


def test_a_spaces_own_notation_is_asked_for(path):
    frame = pd.DataFrame({"arch": ["|none~0|"], "valid": [1.0]})
    frame.to_csv(path, index=False)
    with pytest.raises(NasplugError, match="line 2: a cell must be written like"):
        Table(NasBench201(), str(path)).evaluate(full_trials([(0,) * 6]), ["valid"])


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("[0, 1]", "3 option indices"),
        ("[0, 9, 0]", "3 option indices"),
        ('{"width": 3}', "unknown design variable 'width'"),
        ("[0, 1", "line 2"),
        ("cell", "neither a JSON list"),
    ],
)
def test_unknown_architectures_are_named_by_their_line(cell, reason, path):
    frame = pd.DataFrame({"architecture": [cell], "top1": [1.0]})
    with pytest.raises(NasplugError, match="line 2: ") as error:
        written(frame, path).evaluate(full_trials(ARCHS[:1]), ["top1"])
    assert reason in str(error.value)


def test_wrong_columns_and_files_are_one_line(path, tmp_path):
    frame = rows().assign(architecture=[json.dumps(a) for a in ARCHS])
    for knobs, match in (
        ({"key": "architectur"}, "did you mean architecture"),
        ({"minimize": ["top"]}, "did you mean top1"),
        ({"units": {"note": "%"}}, "unknown column of numbers"),
        ({"where": {"tasks": 1}}, "unknown column"),
        ({"where": {"note": "other"}}, "must have rows whose note"),
    ):
        with pytest.raises(NasplugError, match=match):
            _ = written(frame, path, **knobs).metrics
    with pytest.raises(NasplugError, match=r"evaluator\.path must be"):
        _ = Table(SPACE, str(tmp_path / "none.csv")).metrics
    with pytest.raises(NasplugError, match="unknown format of a table 'cvs'; did you mean csv"):
        _ = written(frame, path, format="cvs").metrics
    for form, content in (("parquet", b"PAR"), ("csv", b'"'), ("csv", b"\xff\xfe\x00")):
        (tmp_path / "broken").write_bytes(content)
        with pytest.raises(NasplugError, match="cannot be read") as error:
            _ = Table(SPACE, str(tmp_path / "broken"), format=form).metrics
        assert "\n" not in str(error.value)
    with pytest.raises(NasplugError, match=r"evaluator\.key=COLUMN"):
        _ = written(rows(), path).metrics
    assert Table(SPACE).metrics == {}


def test_pickled_it_leaves_the_rows_behind(path):
    table = written(rows().assign(architecture=[json.dumps(a) for a in ARCHS]), path)
    table.evaluate(full_trials(ARCHS[:1]), ["top1"])
    assert len(pickle.dumps(table)) < 2000
