"""Files of interactions, good and bad."""

import numpy as np
import pandas as pd
import pytest
from nasplug_ncf.interactions import Interactions
from nasplug_ncf.reading import read

from nasplug import NasplugError

TRAIN = "0\t1\t5\r\n0\t2\t1\r\n1\t0\t3\r\n2\t3\t1\r\n"
TEST = "0\t3\t5\n1\t1\t2\n2\t0\t4\n"
NEGATIVE = "(0,3)\t0\t4\n(1,1)\t2\t3\n(2,0)\t1\t2\n"


def write(folder, train=TRAIN, test=TEST, negative=NEGATIVE, prefix="shop"):
    parts = {"train.rating": train, "test.rating": test, "test.negative": negative}
    for name, text in parts.items():
        if text is not None:
            (folder / f"{prefix}.{name}").write_text(text)
    return str(folder / prefix)


@pytest.mark.parametrize("tail", ["shop", "shop.train.rating", ""])
def test_ncf_files_by_prefix_file_or_folder(tmp_path, tail):
    write(tmp_path)
    data = read(str(tmp_path / tail))
    assert (data.name, data.users, data.items) == ("shop", 3, 5)
    assert data.train.tolist() == [[0, 1], [0, 2], [1, 0], [2, 3]]
    assert data.test.tolist() == [[0, 3], [1, 1], [2, 0]]
    assert data.negatives.tolist() == [[0, 4], [2, 3], [1, 2]]


def test_without_negatives_they_are_drawn_outside_what_is_known(tmp_path):
    task = Interactions(path=write(tmp_path, negative=None))
    assert task.feedback.negatives is None
    assert task._candidates.shape == (3, 99)
    found = [sorted(c for c in row if c >= 0) for row in task._candidates.tolist()]
    assert found == [[0], [2, 3], [1, 2]]


def test_shorter_lines_and_the_held_out_item_itself(tmp_path):
    data = read(write(tmp_path, negative="(0,3)\t0\t3\t4\n(1,1)\t2\n(2,0)\t1\t2\n"))
    assert data.negatives.tolist() == [[0, -1, 4], [2, -1, -1], [1, 2, -1]]


def test_repeated_leaked_and_unseen_are_handled_and_said(tmp_path, caplog):
    data = read(write(tmp_path, train="0 1\n0 1\n0 3\n0 2\n1 0\n"))
    assert data.train.tolist() == [[0, 1], [0, 2], [1, 0]]
    assert "1 repeated training interactions count once" in caplog.text
    assert "1 held-out interactions were left out of training" in caplog.text
    assert "1 held-out users have no training interaction" in caplog.text
    assert "1 held-out items have no training interaction" in caplog.text
    assert data.users == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": ""}, "train.rating must begin with two whole numbers.*No columns to parse"),
        ({"test": ""}, "test.rating must begin with two whole numbers"),
        ({"train": "0\n1\n"}, "train.rating must begin with two whole numbers"),
        ({"train": "0\tx\n"}, "train.rating must begin with two whole numbers"),
        ({"train": "0\t1.5\n"}, "train.rating must begin with two whole numbers"),
        ({"train": "0\t-1\n"}, "numbered from 0, but got -1"),
        ({"train": "0\t1\n90000\t2\n"}, "users of .*shop must be numbered 0, 1, 2"),
        ({"test": None}, "test.rating must be readable, but: No such file"),
        ({"negative": "(0,3)\t0\n"}, "a line for each of the 3 held-out interactions, but has 1"),
        ({"negative": NEGATIVE.replace("(1,1)", "(1,2)")}, r"line 2 of .* must read \(1,1\)"),
        ({"negative": NEGATIVE.replace("(1,1)\t2", "(1,1)\tx")}, r"line 2 of .* must read \(1,1\)"),
        ({"train": TEST}, "training interactions other than the held-out"),
    ],
)
def test_bad_ncf_files_are_one_clear_line(tmp_path, change, words):
    with pytest.raises(NasplugError, match=words) as caught:
        read(write(tmp_path, **change))
    assert "\n" not in str(caught.value)


def test_no_such_path_and_several_in_a_folder(tmp_path):
    with pytest.raises(NasplugError, match="must be the PREFIX of "):
        read(str(tmp_path / "nothing"))
    with pytest.raises(NasplugError, match=r"must hold one PREFIX\.train\.rating, but holds 0"):
        read(str(tmp_path))
    write(tmp_path), write(tmp_path, prefix="other")
    with pytest.raises(NasplugError, match=r"holds 2; say which: .*\(of other, shop\)"):
        read(str(tmp_path))


EVENTS = pd.DataFrame(
    {
        "user": ["ann", "bob", "ann", "ann", "bob", "cid", "ann"],
        "item": ["tea", "tea", "rum", "gin", "gin", "tea", "tea"],
        "time": [1, 9, 8, 3, 2, 5, 4],
    }
)


def pairs(index):
    """(user, item) by name, where both are numbered in the order of their names."""
    users, items = ["ann", "bob", "cid"], ["gin", "rum", "tea"]
    return {(users[u], items[i]) for u, i in index.tolist()}


@pytest.mark.parametrize("file", ["events.csv", "events.tsv", "events.inter", "events.parquet"])
def test_a_table_is_split_by_time(tmp_path, file):
    if file.endswith("parquet"):
        pytest.importorskip("pyarrow")
        EVENTS.to_parquet(tmp_path / file)
    elif file.endswith("inter"):
        names = {"user": "user_id:token", "item": "item_id:token", "time": "timestamp:float"}
        EVENTS.rename(columns=names).to_csv(tmp_path / file, sep="\t", index=False)
    else:
        EVENTS.to_csv(tmp_path / file, sep="," if file.endswith("csv") else "\t", index=False)
    data = read(str(tmp_path / file))
    assert (data.name, data.users, data.items) == ("events", 3, 3)
    assert pairs(data.test) == {("ann", "rum"), ("bob", "tea")}
    assert pairs(data.train) == {("ann", "tea"), ("ann", "gin"), ("bob", "gin"), ("cid", "tea")}


def test_without_times_the_last_line_is_held_out_and_repeats_count_once(tmp_path, caplog):
    EVENTS.drop(columns="time").to_csv(tmp_path / "events.csv", index=False)
    data = read(str(tmp_path / "events.csv"))
    assert pairs(data.test) == {("ann", "tea"), ("bob", "gin")}
    assert pairs(data.train) == {("ann", "rum"), ("ann", "gin"), ("bob", "tea"), ("cid", "tea")}
    assert "1 repeated interactions count once" in caplog.text


def test_a_table_equals_a_slow_split(tmp_path):
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "user": rng.integers(0, 30, 500),
            "item": rng.integers(0, 25, 500),
            "time": rng.random(500),
        }
    )
    events.to_csv(tmp_path / "e.csv", index=False)
    data = read(str(tmp_path / "e.csv"))
    history: dict[int, dict[int, float]] = {}
    for user, item, time in sorted(events.itertuples(index=False), key=lambda e: e[2]):
        history.setdefault(user, {}).pop(item, None)
        history[user][item] = time
    expected = sorted((u, next(reversed(seen))) for u, seen in history.items())
    assert sorted(map(tuple, data.test.tolist())) == expected
    rest = {(u, i) for u, seen in history.items() for i in seen} - set(expected)
    assert {tuple(p) for p in data.train.tolist()} == rest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a table, but: No columns"),
        ("user,item\n", "there is no row"),
        ("a,b\n1,2\n", "must have a header line with the columns user and item.*has a, b"),
        ("user,item\n1,2\n1,\n", "row 2 leaves a cell empty"),
        ("user,item\n1,2\n2,2\n", "training and held-out interactions, but got 2 and 0"),
    ],
)
def test_bad_tables_are_one_clear_line(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(NasplugError, match=words) as caught:
        read(str(tmp_path / "t.csv"))
    assert "\n" not in str(caught.value)


def test_of_a_table_the_interaction_before_the_last_validates(tmp_path):
    rng = np.random.default_rng(1)
    events = pd.DataFrame(
        {
            "user": rng.integers(0, 60, 300),
            "item": rng.integers(0, 40, 300),
            "time": rng.permutation(300),
        }
    ).drop_duplicates(["user", "item"])
    events.to_csv(tmp_path / "events.csv", index=False)
    task = Interactions(path=str(tmp_path / "events.csv"))
    users, items = (np.sort(events[name].unique()) for name in ("user", "item"))
    history = {
        user: [int(np.searchsorted(items, item)) for item in rows.sort_values("time")["item"]]
        for user, rows in events.groupby("user")
    }
    train, held = task._parts
    expected = {
        (int(np.searchsorted(users, user)), row[-2])
        for user, row in history.items()
        if len(row) > 2
    }
    assert set(map(tuple, held.tolist())) == expected and len(expected) > 20
    assert any(len(row) == 2 for row in history.values())
    assert not set(map(tuple, train.tolist())) & expected
    assert len(train) + len(expected) + sum(len(r) > 1 for r in history.values()) == len(events)


def test_without_two_training_interactions_nothing_validates(tmp_path):
    path = write(tmp_path, train="0\t1\n1\t0\n2\t3\n")
    with pytest.raises(NasplugError, match=r"two training interactions.*task\.validation=test"):
        _ = Interactions(path=path)._parts
    assert len(Interactions(path=path, validation="test")._parts[1]) == 3
