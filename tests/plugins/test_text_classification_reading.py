"""Files of labelled texts, good and bad."""

import csv
import gzip

import pytest
from encoder_nets import TEXTS, lines, write_folders, write_lines
from nasplug_text.classification.reading import read
from nasplug_text.classification.task import TextClassification

from nasplug import NasplugError

COLUMNS = ("text", "second", "label")
PAIRS = [(label, text) for _ in range(3) for label, texts in TEXTS.items() for text in texts]


def read_all(path, share=0.25):
    return read(str(path), COLUMNS, share)


def pairs(part):
    return list(zip(part.labels, part.texts, strict=True))


def write_table(file, rows, header=("label", "text")):
    with file.open("w", newline="") as out:
        csv.writer(out, delimiter="\t" if file.suffix == ".tsv" else ",").writerows([header, *rows])


def test_lines_and_a_prefix(tmp_path):
    for name in ("A.train.all", "A.dev", "A.test.all", "B.train"):
        write_lines(tmp_path / name, lines() if name[0] == "A" else ["x other"] * 12)
    for prefix in ("A", "A."):
        corpus = read_all(tmp_path / prefix)
        assert pairs(corpus.train) == pairs(corpus.validation) == pairs(corpus.test) == PAIRS
        assert corpus.labels == ("animal", "food") and corpus.train.seconds is None


def test_gzip_latin_1_and_fasttext(tmp_path, caplog):
    rows = [f"__label__{row}, déjà vu" for row in lines()]
    text = "".join(f"{row}\r\n" for row in rows)
    (tmp_path / "train.txt.gz").write_bytes(gzip.compress(text.encode("latin-1")))
    (tmp_path / "val.txt").write_text("\n" + text)
    corpus = read_all(tmp_path)
    assert pairs(corpus.train) == pairs(corpus.validation)
    assert pairs(corpus.train)[0] == ("animal", "the cat sleeps, déjà vu")
    assert caplog.text.count("is not UTF-8 and is read as Latin-1") == 1


def test_validation_is_set_aside_of_each_class_always_the_same(tmp_path):
    rows = [f"{i % 2} number {i}" for i in range(40)] + ["10 alone"]
    path = write_lines(tmp_path / "rows.txt", rows)
    corpus, again = read_all(path), read_all(path)
    assert corpus == again and corpus.labels == ("0", "1", "10")
    assert [corpus.validation.labels.count(x) for x in corpus.labels] == [5, 5, 0]
    both = [*pairs(corpus.train), *pairs(corpus.validation)]
    assert sorted(both) == sorted(tuple(row.split(maxsplit=1)) for row in rows)
    assert corpus.test is None


def test_a_folder_of_classes(tmp_path):
    corpus = read_all(write_folders(tmp_path, ("train", "dev", "test")))
    assert corpus.labels == ("animal", "food")
    assert sorted(pairs(corpus.train)) == sorted(pairs(corpus.test)) == sorted(PAIRS)


@pytest.mark.parametrize("end", ["csv", "tsv"])
def test_tables_of_pairs(tmp_path, end):
    rows = [(label, text, f"is, {text}") for label, text in PAIRS]
    for split in ("train", "valid", "test"):
        write_table(tmp_path / f"{split}.{end}", rows, ("label", "text", "second"))
    corpus = read_all(tmp_path)
    assert pairs(corpus.train) == pairs(corpus.test) == PAIRS
    assert list(corpus.validation.seconds) == [f"is, {text}" for _, text in PAIRS]


def test_one_table_with_and_without_a_column_of_splits(tmp_path):
    file = tmp_path / "all.csv"
    rows = [(s, *pair) for s in ("train", "validation", "test") for pair in PAIRS]
    write_table(file, rows, ("split", "label", "text"))
    corpus = read_all(file)
    assert pairs(corpus.train) == pairs(corpus.validation) == pairs(corpus.test) == PAIRS
    write_table(file, PAIRS)
    assert len(read_all(file).train) == 18 and len(read_all(file).validation) == 6


def test_columns_by_their_names(tmp_path):
    file = tmp_path / "all.csv"
    write_table(file, [(*pair, pair[1]) for pair in PAIRS], ("kind", "premise", "hypothesis"))
    task = TextClassification(
        str(file), "premise", "hypothesis", "kind", vocabulary=70, validation_share=0.25
    )
    train = task.corpus.train
    assert list(train.texts) == list(train.seconds) and set(train.labels) == set(TEXTS)
    with pytest.raises(NasplugError, match="must have a column text, but has kind, premise"):
        read_all(file)
    with pytest.raises(NasplugError, match=r"must have a column other, .* type task.second=COLUMN"):
        read(str(file), ("premise", "other", "kind"), 0.25)


WRONG = {
    "nothing": ({}, "there is no"),
    "no training": ({"val.txt": lines()}, "must hold training data: .* it has val.txt"),
    "a word": ({"train.txt": [*lines(), "animal"]}, "line 25 is 'animal'"),
    "few": ({"train.txt": lines(1)[:9]}, "at least 10 training texts, but has 8"),
    "one class": ({"train.txt": ["a b"] * 12}, "at least two classes, but every label is 'a'"),
    "no labels": ({"train.txt": [f"word{i} of text" for i in range(12)]}, "labels must repeat"),
    "a strange label": (
        {"train.txt": lines(), "val.txt": ["animal a", "mineral b"]},
        "every label of the validation data .* but 'mineral' is not; there are animal, food",
    ),
    "no label": ({"train.csv": ["label,text", *["a,x"] * 9, ",y"]}, "row 10 .* must have a label"),
    "a strange split": (
        {"train.csv": ["label,text"] + ["a,x", "b,y"] * 6, "val.csv": ["label,text,second", "a,x,y"]},
        "must be pairs of texts, or none, but validation and train differ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_clear_line(tmp_path, case):
    files, words = WRONG[case]
    folder = tmp_path / "data"
    for name, rows in files.items():
        folder.mkdir(exist_ok=True)
        write_lines(folder / name, rows)
    with pytest.raises(NasplugError, match=words) as caught:
        read_all(folder)
    assert "\n" not in str(caught.value)


def test_what_is_no_text(tmp_path):
    (tmp_path / "train.txt").write_bytes("a b\n".encode("utf-16") * 12)
    with pytest.raises(NasplugError, match="must be text in UTF-8"):
        read_all(tmp_path)
    (tmp_path / "train.txt").unlink()
    (tmp_path / "train").mkdir()
    with pytest.raises(NasplugError, match="must have a folder for each class"):
        read_all(tmp_path)
    file = tmp_path / "all.csv"
    write_table(file, [("later", *pair) for pair in PAIRS], ("split", "label", "text"))
    with pytest.raises(NasplugError, match=r"split of .* but row 1 has 'later'"):
        read_all(file)


def test_trec_and_sst2(shared_data):
    trec = TextClassification(str(shared_data / "text" / "TREC"))
    corpus = trec.corpus
    assert [len(p) for p in (corpus.train, corpus.validation, corpus.test)] == [4906, 546, 500]
    assert corpus.labels == tuple("012345") and trec.network_dimensions["vocabulary"] == 4000
    sst = read_all(shared_data / "text" / "stsa.binary")
    assert [len(p) for p in (sst.train, sst.validation, sst.test)] == [6920, 872, 1821]
