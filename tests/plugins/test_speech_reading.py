"""Recordings of one's own: layouts, splits, and what is wrong said in one line; exported networks."""

import shutil
import zipfile

import numpy as np
import pytest
from nasplug_speech.reading import read_labels, read_transcripts
from nasplug_speech.speech import Speech
from nasplug_speech.transcriber import Transcriber
from speech_nets import network_for, tone, wav, write_labelled, write_transcribed

from nasplug import NasplugError


def answers(corpus):
    return {split: {r.name: r.answer for r in part} for split, part in corpus.items()}


def test_texts_beside_recordings(tmp_path):
    found = answers(read_transcripts(write_transcribed(tmp_path), 10))
    assert {s: len(part) for s, part in found.items()} == {"validation": 3, "test": 3, "train": 24}
    every = {name: text for part in found.values() for name, text in part.items()}
    assert len(every) == 30 and every["r04.wav"] == "two three"
    assert found == answers(read_transcripts(str(tmp_path), 10))


@pytest.mark.parametrize(("name", "sign"), [("transcripts.csv", ","), ("transcripts.tsv", "\t")])
def test_a_table_of_transcripts(tmp_path, name, sign, caplog):
    (tmp_path / "sub").mkdir()
    rows = [sign.join(("split", "file", "text"))]
    for i in range(14):
        (tmp_path / "sub" / f"{i}.wav").write_bytes(wav(tone(500)))
        split = ("dev", "test")[i] if i < 2 else "train"
        rows.append(sign.join((split, f"sub/{i}.wav", f" number  {i} ")))
    (tmp_path / "sub" / "more.wav").write_bytes(wav(tone(500)))
    (tmp_path / name).write_text("\n".join(rows) + "\n")
    found = answers(read_transcripts(str(tmp_path), 10))
    assert found["validation"] == {"sub/0.wav": "number 0"}
    assert found["test"] == {"sub/1.wav": "number 1"} and len(found["train"]) == 12
    assert "1 recordings are in no table" in caplog.text


def test_folders_of_splits_and_of_labels(tmp_path):
    for split, count in (("train", 6), ("val", 2)):
        for label in ("up", "down"):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(count):
                (tmp_path / split / label / f"{i}.wav").write_bytes(wav(tone(500)))
    found = answers(read_labels(str(tmp_path), 10))
    assert sorted(found) == ["train", "validation"] and len(found["train"]) == 12
    assert found["validation"]["val/up/0.wav"] == "up"
    task = Speech(str(tmp_path), answers="labels", mels=8)
    assert task.test_quality(network_for(task), ["top1"]) == {}


def test_labels_in_names_are_split_by_index(tmp_path):
    found = answers(read_labels(write_labelled(tmp_path), 4))
    for split, indices in (("test", {0, 1, 2}), ("validation", {3, 4, 5})):
        assert {int(n[:-4].split("_")[2]) for n in found[split]} == indices
        assert len(found[split]) == 12
    assert found["test"]["low_ann_0.wav"] == "low" and len(found["train"]) == 24


def test_a_zip_file_is_its_folder(tmp_path):
    (tmp_path / "in").mkdir()
    folder = write_labelled(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in (tmp_path / "in").iterdir():
            archive.write(file, file.name)
    one, other = (Speech(p, "labels", mels=8) for p in (folder, str(tmp_path / "all.zip")))
    assert answers(one.data.corpus) == answers(other.data.corpus)
    model = network_for(one)
    assert one.quality(model, one.metrics) == other.quality(model, one.metrics)


def test_a_folder_around_all_in_a_zip_file_does_not_count(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for split, count in (("train", 6), ("val", 2)):
            for name in (f"{label}/{i}.wav" for label in ("up", "down") for i in range(count)):
                archive.writestr(f"top/{split}/{name}", wav(tone(500)))
    found = answers(read_labels(str(tmp_path / "all.zip"), 10))
    assert found["validation"]["val/down/1.wav"] == "down" and len(found["train"]) == 12


def test_groups_too_small_to_split_by_index(tmp_path):
    path = write_labelled(tmp_path, speakers=[f"s{i}" for i in range(10)], count=2)
    found = answers(read_labels(path, 5))
    assert {s: len(part) for s, part in found.items()} == {"validation": 8, "test": 8, "train": 24}


def test_a_single_label_is_refused(tmp_path):
    path = write_labelled(tmp_path, labels=("low",))
    with pytest.raises(NasplugError, match="must have at least two labels, but all have 'low'"):
        read_labels(path, 10)


def test_the_fingerprint_follows_the_content(tmp_path):
    path = write_transcribed(tmp_path)
    before = Speech(path).data_fingerprint()
    assert Speech(path).data_fingerprint() == before
    (tmp_path / "r05.txt").write_text("something else")
    changed = Speech(path).data_fingerprint()
    (tmp_path / "r05.wav").write_bytes(wav(tone(700, 0.4)))
    assert len({before, changed, Speech(path).data_fingerprint()}) == 3


# ---- bad input -----------------------------------------------------------------------------------


def remove(name):
    return lambda folder: (folder / name).unlink()


def put(name, content):
    def change(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

    return change


def floats():
    """The header of a wav file of floats."""
    content = bytearray(wav(tone(500)))
    content[20] = 3
    return bytes(content)


GARBAGE = bytes(np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove("r05.txt"), r"r05.wav must have its transcript, r05.txt, beside it"),
        (put("r05.txt", b" \n"), "r05.wav must have a transcript, but it is empty"),
        (put("r05.txt", b"caf\xe9"), "r05.txt must be text in UTF-8, but line 1 is not"),
        (put("r05.wav", GARBAGE), "r05.wav must be a wav file .* convert it, e.g. ffmpeg"),
        (put("r05.wav", b""), "r05.wav must be a wav file"),
        (put("r05.wav", b"RIFF"), "r05.wav must be a wav file"),
        (put("r05.wav", floats()), "r05.wav must be a wav file .* unknown format: 3"),
        (put("r05.wav", wav([])), "r05.wav must hold a recording, but has no samples"),
        (put("r05.wav", wav(tone(500))[:-100]), "r05.wav must hold .* but is cut off after 1550"),
        (
            put("transcripts.csv", b"name,text\n"),
            "must have the columns file and text, but has name",
        ),
        (put("transcripts.csv", b""), "must have the columns file and text, but has none"),
        (
            put("transcripts.csv", b"file,text\nr00.wav,a\nlost.wav,b\n"),
            "row 3 of transcripts.csv must name a wav file beside it, but there is no lost.wav",
        ),
        (put("transcripts.csv", b"file,text\nr00.wav,a,b\n"), "row 2 has 3; a cell with"),
        (
            put("transcripts.csv", b"file,text,split\nr00.wav,a,some\n"),
            "split of transcripts.csv must be one of train",
        ),
        (put("transcripts.csv", b"file,text\nr00.wav,a\n"), "at least 10 recordings of train data"),
    ],
)
def test_what_is_wrong_with_transcripts_is_one_line(tmp_path, change, words):
    path = write_transcribed(tmp_path)
    change(tmp_path)
    task = Speech(path, mels=8)
    with pytest.raises(NasplugError, match=words) as caught:
        for _ in task.train_batches(1000, 0):
            pass
        task.quality(network_for(task), task.metrics)
        task.test_quality(network_for(task), task.metrics)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("alone.wav", wav(tone(500))), "alone.wav must be in a folder named as its label"),
        (shutil.rmtree, "must be a folder of wav files"),
        (put("x.txt", b"x"), None),
    ],
)
def test_what_is_wrong_with_labels_is_one_line(tmp_path, change, words):
    (tmp_path / "data").mkdir()
    path = write_labelled(tmp_path / "data")
    change(tmp_path / "data")
    if words is None:
        assert read_labels(path, 10)
        return
    with pytest.raises(NasplugError, match=words) as caught:
        read_labels(path, 10)
    assert "\n" not in str(caught.value)


def test_a_label_that_never_trains(tmp_path):
    for split, labels in (("train", ("up",)), ("val", ("up", "down"))):
        for label in labels:
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(12):
                (tmp_path / split / label / f"{i}.wav").write_bytes(wav(tone(500)))
    with pytest.raises(
        NasplugError, match=r"'down' of val/down/0.wav is in the validation data alone"
    ):
        read_labels(str(tmp_path), 10)


@pytest.mark.parametrize("content", [b"", b"PK", GARBAGE])
def test_a_zip_file_that_is_none(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(NasplugError, match=r"a.zip must be a zip file, but"):
        read_labels(str(tmp_path / "a.zip"), 10)


def test_a_folder_without_recordings(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"x")
    with pytest.raises(NasplugError, match=r"must hold wav files, but has a.mp3"):
        read_transcripts(str(tmp_path), 10)


# ---- exported networks -----------------------------------------------------------------------------


def transcriber(task, model):
    info = task.deployment_info()
    knobs = {k: v for k, v in info["application"].items() if k != "_target_"}
    return Transcriber(model, info, **knobs)


def test_files_are_heard_as_they_were_measured(tmp_path):
    task = Speech(write_transcribed(tmp_path), mels=8)
    model = network_for(task, seed=2)
    names = [tmp_path / f"r{i:02}.wav" for i in range(20)]
    found = transcriber(task, model).transcribe(names)
    part = {r.name: i for i, r in enumerate(task.data.corpus["validation"])}
    from nasplug_speech.scoring import word_error_rate

    kept = [tmp_path / name for name in part]
    heard = transcriber(task, model).predict(kept)
    said = [task.data.corpus["validation"][i].answer for i in part.values()]
    assert task.quality(model, ["wer"])["wer"] == pytest.approx(word_error_rate(heard, said))
    assert len(found) == 20 and any(found)


def test_labels_of_files_at_another_rate(tmp_path):
    task = Speech(write_labelled(tmp_path), "labels", mels=8)
    model = network_for(task)
    (tmp_path / "other.wav").write_bytes(wav(tone(500, 0.3, 16000), 16000))
    (tmp_path / "same.wav").write_bytes(wav(tone(500, 0.3)))
    heard = transcriber(task, model).transcribe(
        [tmp_path / "other.wav", str(tmp_path / "same.wav")]
    )
    assert set(heard) <= {"low", "high"} and heard[0] == heard[1]


@pytest.mark.parametrize(
    ("files", "words"),
    [("a.wav", "must be given a list"), ([1], "must be given a list"), (["no.wav"], "there is no")],
)
def test_what_cannot_be_heard(tmp_path, files, words):
    task = Speech(write_labelled(tmp_path), "labels", mels=8)
    with pytest.raises(NasplugError, match=words):
        transcriber(task, network_for(task)).transcribe(files)


@pytest.mark.parametrize(
    "info",
    [
        {"tokens": ["a"], "units": "words"},
        {"tokens": 3, "units": "words"},
        {"labels": "ab"},
        {},
        {"tokens": ["<pad>", "<s>", "</s>", "<unk>"], "units": "x"},
    ],
)
def test_an_export_that_is_wrong(info):
    knobs = dict(sample_rate=8000, mels=8, window=0.025, hop=0.01, decoding="ctc", beam=1)
    with pytest.raises(NasplugError, match="must be"):
        Transcriber(None, info, **knobs)
