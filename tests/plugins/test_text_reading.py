"""Files of sentence pairs, good and bad; vocabularies."""

import csv
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nasplug_text.reading import read
from nasplug_text.vocabulary import Vocabulary, learn
from text_parts import SENTENCES, write

from nasplug import NasplugError
from nasplug.toolkit.sequences.tokens import END, SPECIAL, UNKNOWN

PAIRS = list(zip(*SENTENCES.values(), strict=True))


def pairs(side):
    return list(zip(side.source, side.target, strict=True))


# ---- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("name", ["val", "valid", "dev", "validation"])
def test_a_folder(tmp_path, name, end):
    write(tmp_path, ("train", name), end)
    corpus = read(str(tmp_path), "de", "en")
    assert pairs(corpus.train) == pairs(corpus.validation) == PAIRS
    assert corpus.test is None
    assert pairs(read(str(tmp_path), "en", "de").train) == [(e, d) for d, e in PAIRS]


def test_test_data_by_a_longer_name(tmp_path, caplog):
    write(tmp_path, ("train", "val", "test_2017_web", "test_2016_flickr"), ".gz")
    assert pairs(read(str(tmp_path), "de", "en").test) == PAIRS
    assert "test_2016_flickr is read, of test_2016_flickr, test_2017_web" in caplog.text


def test_the_plain_name_comes_first(tmp_path):
    write(tmp_path, ("train", "val", "train.clean"))
    (tmp_path / "train.de").write_text("eins\n" * 12)
    assert set(read(str(tmp_path), "de", "en").train.source) == {"eins"}


def test_a_prefix(tmp_path):
    write(tmp_path, ("wmt.train", "wmt.valid"))
    write(tmp_path, ("other.train", "other.valid"), train_de=["no"] * 12)
    for tail in ("wmt", "wmt."):
        assert pairs(read(str(tmp_path / tail), "de", "en").train) == PAIRS


def test_white_space_line_ends_and_a_byte_order_mark(tmp_path):
    write(tmp_path)
    text = "\ufeff" + "".join(f"  {line.replace(' ', '  ')}\t\r\n" for line in SENTENCES["de"])
    (tmp_path / "train.de").write_bytes(text.encode())
    assert pairs(read(str(tmp_path), "de", "en").train) == PAIRS


def test_a_line_ends_only_where_it_does(tmp_path):
    """The signs U+2028 and U+0085 occur within sentences of the web."""
    lines = ["zwei\u2028hunde", "ein\x85Mann", *SENTENCES["de"][2:]]
    corpus = read(write(tmp_path, train_de=lines), "de", "en")
    assert corpus.train.source[:2] == ("zwei hunde", "ein Mann")


def table(file, header, rows):
    separator = "\t" if ".tsv" in file.name else ","
    opened = gzip.open if file.name.endswith(".gz") else open
    with opened(file, "wt", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=separator).writerows([header, *rows])
    return str(file)


@pytest.mark.parametrize("file", ["p.csv", "p.tsv", "p.csv.gz"])
@pytest.mark.parametrize("names", [("de", "en"), ("source", "target")])
def test_a_table_with_splits(tmp_path, file, names):
    rows = [[e, "x", s, d] for s in ("train", "dev", "test") for d, e in PAIRS]
    path = table(tmp_path / file, [names[1], "other", "split", names[0]], rows)
    corpus = read(path, "de", "en")
    assert pairs(corpus.train) == pairs(corpus.validation) == pairs(corpus.test) == PAIRS


def test_tables_in_a_folder(tmp_path):
    for split in ("train", "valid"):
        table(tmp_path / f"{split}.csv", ["de", "en"], PAIRS)
    assert pairs(read(str(tmp_path), "de", "en").validation) == PAIRS


def test_empty_lines_are_left_out_and_counted(tmp_path, caplog):
    lines = ["", " ", *SENTENCES["de"][2:]]
    corpus = read(write(tmp_path, train_de=lines), "de", "en")
    assert pairs(corpus.train) == PAIRS[2:]
    assert "2 pairs of the train data" in caplog.text and "have an empty side" in caplog.text


def _cut_gzip(folder, language):
    (folder / f"train.{language}").unlink()
    (folder / f"train.{language}.gz").write_bytes(gzip.compress(b"a b\n" * 99)[:-9])


BAD = {
    "a missing side": (
        lambda f: (f / "train.en").unlink(),
        r"train.de must have the other side, train.en",
    ),
    "what is there": (lambda f: (f / "train.en").unlink(), r"has train.de, val.de, val.en"),
    "no validation": (
        lambda f: [(f / f"val.{e}").unlink() for e in ("de", "en")],
        r"must hold validation data \(val.de, valid.de, .*it has train.de, train.en",
    ),
    "different counts": (
        lambda f: (f / "val.en").write_text("one\n"),
        r"as many lines, but .*val.de has 12 and .*val.en has 1",
    ),
    "latin-1": (
        lambda f: (f / "train.de").write_bytes(b"gut\nsch\xf6n\n" * 6),
        r"train.de must be text in UTF-8, but line 2 is not",
    ),
    "utf-16": (
        lambda f: (f / "train.de").write_bytes("gut\n".encode("utf-16") * 12),
        r"train.de must be text in UTF-8, but line 1 is not",
    ),
    "an empty side": (
        lambda f: (f / "train.de").write_text("\n" * 12),
        r"train data of .* must hold sentences, but every source line is empty",
    ),
    "an empty file": (
        lambda f: [(f / f"val.{e}").write_text("") for e in ("de", "en")],
        "every source line",
    ),
    "never both": (
        lambda f: [(f / f"val.{e}").write_text(t) for e, t in (("de", "a\n\n"), ("en", "\na\n"))],
        "must hold pairs, but one side of each is empty",
    ),
    "too few": (
        lambda f: [(f / f"train.{e}").write_text("a b\n" * 9) for e in ("de", "en")],
        "at least 10 training pairs, but has 9",
    ),
    "broken gzip": (
        lambda f: [(f / f"train.{e}").rename(f / f"train.{e}.gz") for e in ("de", "en")],
        r"train.de.gz must be readable, but: Not a gzipped file",
    ),
    "cut gzip": (
        lambda f: [_cut_gzip(f, e) for e in ("de", "en")],
        r"train.de.gz must be readable, but: Compressed file ended",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_one_clear_line(tmp_path, case):
    change, words = BAD[case]
    write(tmp_path)
    change(tmp_path)
    with pytest.raises(NasplugError, match=words) as caught:
        read(str(tmp_path), "de", "en")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        (["de", "en"], PAIRS, r"must have a column split, .* but has de, en"),
        (
            ["de", "fr", "split"],
            [["a", "b", "train"]],
            r"must have a column en \(or target\), but has de, fr",
        ),
        (
            ["de", "en", "split"],
            [["a", "b", "c"]],
            r"split of .* must be one of train, .*row 1 has 'c'",
        ),
        (
            ["de", "en", "split"],
            [["a", "b", "train"], ["a", "b"]],
            r"must have 3 cells, .* row 2 has 2",
        ),
        (["de", "en", "split"], [], r"must hold train data"),
        (["de", "en", "split"], [[d, e, "train"] for d, e in PAIRS], r"must hold validation data"),
    ],
)
def test_bad_tables_are_one_clear_line(tmp_path, header, rows, words):
    with pytest.raises(NasplugError, match=words) as caught:
        read(table(tmp_path / "p.csv", header, rows), "de", "en")
    assert "\n" not in str(caught.value)


def test_no_table_at_all(tmp_path):
    for content, words in (
        (b"", "it is empty"),
        (b'a,b\n"x', "unexpected end"),
        (b"\xff", "line 1"),
    ):
        (tmp_path / "p.csv").write_bytes(content)
        with pytest.raises(NasplugError, match=words):
            read(str(tmp_path / "p.csv"), "de", "en")


def test_no_such_place_and_one_language(tmp_path):
    with pytest.raises(NasplugError, match="must be a folder, the prefix of files"):
        read(str(tmp_path / "nothing"), "de", "en")
    with pytest.raises(NasplugError, match="must be two languages, but both are 'de'"):
        read(str(tmp_path), "de", "de")
    with pytest.raises(NasplugError, match="must hold train data"):
        read(write(tmp_path), "fr", "cs")


# ---- the vocabulary ------------------------------------------------------------------------------

LETTERS = "abc ÄßÇ.,</s>!"
LINES = ["".join(LETTERS[(i * j) % len(LETTERS)] for i in range(99)) for j in range(1, 99)]
TRAINED = learn(LINES, 60, True, "it")


@given(st.text(LETTERS))
def test_text_comes_back_exactly(text):
    (ids,) = TRAINED.encode([text])
    assert not {i for i in ids if i < len(SPECIAL)}
    assert TRAINED.decode([ids]) == [text]
    assert TRAINED.decode([[1, *ids, END, 0]]) == [text]


def test_real_text_comes_back_exactly(shared_data):
    content = gzip.decompress((shared_data / "multi30k" / "train.de.gz").read_bytes())
    lines = content.decode().split("\n")[:3000]
    made = learn(lines, 500, True, "it")
    assert made.decode(made.encode(lines)) == lines
    assert len(made) == 500 and tuple(made.tokens[:4]) == SPECIAL


def test_what_was_never_seen_is_unknown():
    (ids,) = TRAINED.encode(["aXb"])
    assert UNKNOWN in ids and TRAINED.decode([ids]) == ["ab"]


def test_there_and_back_as_json():
    text = TRAINED.to_text()
    again = Vocabulary.from_text(text)
    assert (again.tokens, again.merges) == (TRAINED.tokens, TRAINED.merges)
    assert again.encode(["abc </s> Ä"]) == TRAINED.encode(["abc </s> Ä"])
    assert again.to_text() == text


def test_the_same_texts_give_the_same():
    lines = SENTENCES["de"] + SENTENCES["en"]
    assert learn(lines, 70, True, "it").to_text() == learn(lines, 70, True, "it").to_text()


def test_where_no_number_was_named_fewer_tokens_will_do():
    lines = SENTENCES["de"] * 2
    assert len(learn(lines, 4000, False, "it")) < 200


@pytest.mark.parametrize(
    "change",
    [
        None,
        3,
        "",
        "[]",
        "{}",
        {"tokens": 3},
        {"tokens": ["a"]},
        {"tokens": [*SPECIAL, 3]},
        {"tokens": [*SPECIAL, "a", "a"]},
        {"merges": 3},
        {"merges": ["abc"]},
        {"merges": [["a", 3]]},
        {"merges": [["a", "missing"]]},
        {"tokens": [*SPECIAL, "a"], "merges": [["a", "a"]]},
    ],
)
def test_no_vocabulary_is_one_clear_line(change):
    if isinstance(change, dict):
        change = json.dumps({"tokens": [*SPECIAL, "a", "b"], "merges": [], **change})
    with pytest.raises(
        NasplugError, match="a vocabulary must be what nasplug wrote, but: "
    ) as caught:
        Vocabulary.from_text(change)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
