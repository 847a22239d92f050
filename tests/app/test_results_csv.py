"""results.csv and front.csv: the same rows as in the ledger, whole at any moment, text made once."""

import csv
import json
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from light import LightEvaluator, LightSpace, LightStrategy

from nasplug import Failure, Measurement, NasplugError, search
from nasplug.app.files import results_csv
from nasplug.contracts.types import Record, Trial
from nasplug.engine.records import RecordTable

SPACE = LightSpace()
ARCHS = [tuple(row) for row in SPACE.enumerate()[:64].tolist()]
COLUMNS = ("good", "slow")


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def table_of(records):
    table = RecordTable(SPACE)
    for record in records:
        table.add(record)
    return table


def some(n, first=0, std=()):
    return [
        Record(i, Trial(ARCHS[i]), Failure("no luck, none", 0.5))
        if i % 7 == 3
        else Record(
            i,
            Trial(ARCHS[i]),
            Measurement({"good": i / 7, "slow": 1e300 * i}, i / 3, {n: 0.25 for n in std}),
        )
        for i in range(first, first + n)
    ]


number = st.floats(allow_nan=False, allow_infinity=False)
values = st.fixed_dictionaries({"good": number, "slow": number})
with_std = st.dictionaries(st.sampled_from(COLUMNS), number)
outcomes = st.one_of(
    st.builds(Measurement, values, st.integers(0, 999).map(float), with_std),
    st.builds(Failure, st.text(st.characters(categories=["L", "N", "P", "S"])), st.just(1.0)),
)


@given(st.lists(outcomes, max_size=20))
def test_what_is_written_is_read_back(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("csv") / "results.csv"
    records = [Record(i, Trial(ARCHS[i]), outcome) for i, outcome in enumerate(found)]
    results_csv.Results(path, SPACE, COLUMNS).write(table_of(records))
    again = results_csv.parse(path, SPACE, COLUMNS)
    assert [again.record(row) for row in range(len(again))] == records


def test_a_row_is_what_the_space_says(tmp_path):
    records = some(20)
    results_csv.Results(tmp_path / "r.csv", SPACE, COLUMNS).write(table_of(records))
    for row, record in zip(rows_of(tmp_path / "r.csv"), records, strict=True):
        assert json.loads(row["config"]) == SPACE.config(record.arch)
        assert json.loads(row["architecture"]) == list(record.arch)
        assert (row["status"] == "failed") == isinstance(record.outcome, Failure)
    frame = results_csv.frame(table_of(records), SPACE, COLUMNS, np.arange(20))
    again = pd.read_csv(
        tmp_path / "r.csv", keep_default_na=False, na_values={c: "" for c in COLUMNS}
    )
    pd.testing.assert_frame_equal(frame, again, check_dtype=False)


def test_a_space_with_words_of_its_own_is_asked(tmp_path):
    class Own(LightSpace):
        def config(self, arch):
            return {"letters": "".join("abcd"[g] for g in arch)}

    results_csv.write(tmp_path / "r.csv", table_of(some(3)), Own(), COLUMNS, np.arange(3))
    row = rows_of(tmp_path / "r.csv")[0]
    assert json.loads(row["config"]) == {"letters": "".join("abcd"[g] for g in ARCHS[0])}


class TestSpread:
    def test_a_column_where_any_row_has_one(self, tmp_path):
        table = table_of([*some(5), *some(5, 5, std=["good"])])
        results_csv.Results(tmp_path / "r.csv", SPACE, COLUMNS).write(table)
        frame = pd.read_csv(tmp_path / "r.csv")
        assert list(frame)[:6] == ["number", "status", "good", "good_std", "slow", "architecture"]
        assert frame["good_std"].notna().tolist() == [n >= 5 for n in range(10)]
        assert set(frame["good_std"].dropna()) == {0.25}

    def test_the_first_one_comes_late(self, tmp_path):
        file, table = results_csv.Results(tmp_path / "r.csv", SPACE, COLUMNS), table_of(some(5))
        file.write(table)
        assert "good_std" not in pd.read_csv(tmp_path / "r.csv")
        for record in some(5, 5, std=["good"]):
            table.add(record)
        file.write(table)
        assert pd.read_csv(tmp_path / "r.csv")["good_std"].notna().sum() == 5

    def test_a_metric_of_that_name_keeps_its_column(self, tmp_path):
        table = table_of(
            [Record(0, Trial(ARCHS[0]), Measurement({"a": 1.0, "a_std": 9.0}, 0, {"a": 0.5}))]
        )
        results_csv.Results(tmp_path / "r.csv", SPACE, ("a", "a_std")).write(table)
        assert list(pd.read_csv(tmp_path / "r.csv")["a_std"]) == [9.0]

    def test_it_survives_a_search(self, tmp_path):
        class Unsure(LightEvaluator):
            def _one(self, arch, names):
                outcome = super()._one(arch, names)
                if isinstance(outcome, Failure):
                    return outcome
                return Measurement(outcome.values, 0.0, {"good": sum(arch) / 10})

        run = search(SPACE, Unsure(), LightStrategy(), COLUMNS, 20, run=tmp_path)
        frame, front = pd.read_csv(tmp_path / "results.csv"), pd.read_csv(tmp_path / "front.csv")
        ok = frame["status"] == "ok"
        sums = [sum(json.loads(text)) / 10 for text in frame["architecture"]]
        assert frame["good_std"][ok].tolist() == [s for s, k in zip(sums, ok, strict=True) if k]
        assert frame["good_std"][~ok].isna().all() and front["good_std"].notna().all()
        again = search(SPACE, Unsure(), LightStrategy(), COLUMNS, 20, run=tmp_path)
        assert again.records == run.records


class TestGrowing:
    def test_in_any_order_of_arrival_the_order_of_numbers(self, tmp_path):
        dice = np.random.default_rng(0)
        records = some(60)
        for trial in range(10):
            order = np.argsort(np.arange(60) + dice.uniform(0, 12, 60))
            table, file = (
                RecordTable(SPACE),
                results_csv.Results(tmp_path / f"{trial}", SPACE, COLUMNS),
            )
            for i in order:
                table.add(records[i])
                if dice.random() < 0.4:
                    file.write(table)
                    seen = [int(r["number"]) for r in rows_of(file.path)]
                    assert seen == sorted(table.numbers().tolist())
            file.write(table)
            results_csv.write(tmp_path / "once", table, SPACE, COLUMNS, table.order())
            assert file.path.read_bytes() == (tmp_path / "once").read_bytes()

    def test_text_is_made_once(self, tmp_path, monkeypatch):
        made = []
        real = results_csv._configs
        monkeypatch.setattr(
            results_csv, "_configs", lambda space, archs: made.extend(archs) or real(space, archs)
        )
        table, file = RecordTable(SPACE), results_csv.Results(tmp_path / "r.csv", SPACE, COLUMNS)
        for record in some(40):
            table.add(record)
            file.write(table)
        assert len(made) == 40

    @pytest.mark.parametrize("how", ["removed", "edited", "emptied"])
    def test_what_others_do_to_the_file_is_undone(self, tmp_path, how):
        table, file = table_of(some(10)), results_csv.Results(tmp_path / "r.csv", SPACE, COLUMNS)
        file.write(table)
        if how == "removed":
            file.path.unlink()
        else:
            file.path.write_text(
                "" if how == "emptied" else file.path.read_text().replace("0", "1")
            )
        for record in some(10, 10):
            table.add(record)
        file.write(table)
        assert len(results_csv.parse(file.path, SPACE, COLUMNS)) == 20
        assert [r["number"] for r in rows_of(file.path)] == [str(i) for i in range(20)]

    def test_a_full_disk_changes_nothing(self, tmp_path, monkeypatch):
        table, file = table_of(some(10)), results_csv.Results(tmp_path / "r.csv", SPACE, COLUMNS)
        file.write(table)
        before = file.path.read_bytes()
        for record in some(10, 10):
            table.add(record)
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", lambda file: (_ for _ in ()).throw(OSError(28, "full")))
            with pytest.raises(OSError, match="full"):
                file.write(table)
        assert file.path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
        file.write(table)
        assert len(results_csv.parse(file.path, SPACE, COLUMNS)) == 20

    def test_a_reader_sees_a_whole_file_at_any_moment(self, tmp_path):
        table, file = RecordTable(SPACE), results_csv.Results(tmp_path / "r.csv", SPACE, COLUMNS)
        file.write(table)
        stop, seen, wrong = threading.Event(), [], []

        def read():
            while not stop.is_set():
                text = file.path.read_bytes()
                rows = list(csv.DictReader(text.decode().splitlines()))
                seen.append(len(rows))
                whole = [r["number"] for r in rows] == [str(i) for i in range(len(rows))]
                if not (whole and text.endswith(b"\n")):
                    wrong.append(text)

        thread = threading.Thread(target=read)
        thread.start()
        for record in some(60):
            table.add(record)
            file.write(table)
        stop.set()
        thread.join()
        assert not wrong and len(set(seen)) > 3


@pytest.mark.parametrize("text", ["number,status\n0,ok\n", "\0", 'number,"half', "a\nb\n"])
def test_what_is_no_results_csv_is_named(tmp_path, text):
    (tmp_path / "r.csv").write_text(text)
    try:
        assert len(results_csv.parse(tmp_path / "r.csv", SPACE, COLUMNS)) == 0
    except NasplugError as error:
        assert "r.csv must be as a search wrote it" in str(error)
