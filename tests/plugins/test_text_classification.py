"""The task `text`: batches, loss, quality, generated data, vocabulary, application."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from encoder_nets import TEXTS, Bags, Structured, Untrained, bag_for, write_lines
from nasplug_text.classification.generated import LABELS, generate
from nasplug_text.classification.task import TextClassification
from nasplug_text.tokenizer import TextTokenizer, learn, read_tokenizer
from num2words import num2words

import nasplug
from nasplug import NasplugError, choices, make, search
from nasplug.testing import TaskContract


def tiny(**knobs):
    return TextClassification(**{"pairs": 96, "vocabulary": 90, "max_length": 24, **knobs})


@pytest.fixture(scope="module")
def shared():
    return tiny()


class TestPairs(TaskContract):
    @pytest.fixture
    def task(self, shared):
        return shared

    @pytest.fixture
    def model(self, task):
        return bag_for(task)


class TestStructuredOutputs(TaskContract):
    @pytest.fixture
    def task(self, tmp_path):
        return TextClassification(write_lines(tmp_path / "train.txt"), vocabulary=70)

    @pytest.fixture
    def model(self, task):
        return Structured(bag_for(task))


def test_it_is_a_choice():
    assert "text" in choices("task")
    assert make("task", "text", max_length=30).max_length == 30


# ---- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 32, 1000])
def test_batches_hold_each_text_once_with_its_label(shared, batch_size):
    seen = []
    for batch in shared.train_batches(batch_size, seed=3, epoch=2):
        assert {t.dtype for t in batch.values()} == {torch.int64}
        ids, mask, types = (
            batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")
        )
        assert ids.shape == mask.shape == types.shape and len(ids) <= batch_size
        assert bool(mask.any(0).all())  # no column of padding alone
        assert bool((ids[mask == 0] == 0).all()) and bool((ids[mask == 1] != 0).all())
        for row, kept, label in zip(
            ids.tolist(), mask.tolist(), batch["labels"].tolist(), strict=True
        ):
            assert kept == sorted(kept, reverse=True)
            seen.append((tuple(row[: sum(kept)]), LABELS[label]))
    train = shared.corpus.train
    ids, _ = shared.tokenizer.encode(train.texts, train.seconds, 24)
    assert sorted(seen) == sorted(zip(map(tuple, ids), train.labels, strict=True))


def test_lengths_within_a_batch_are_similar():
    task = tiny(pairs=3200)
    lengths = [batch["attention_mask"].sum(1).double() for batch in task.train_batches(16, seed=0)]
    within = torch.stack([x.std() for x in lengths]).mean()
    assert within < 0.2 * torch.cat(lengths).std()
    means = torch.stack([x.mean() for x in lengths]).numpy()
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3  # but batches are not sorted


def test_types_tell_the_two_texts_apart(shared):
    train, made = shared.corpus.train, shared.tokenizer
    ids, types = made.encode(train.texts[:5], train.seconds[:5], 99)
    alone, _ = made.encode(train.texts[:5], None, 99)
    for whole, kinds, first in zip(ids, types, alone, strict=True):
        assert whole[: len(first)] == first and kinds[: len(first)] == [0] * len(first)
        assert kinds[len(first) :] == [1] * (len(whole) - len(first)) and sum(kinds) > 1


# ---- quality -------------------------------------------------------------------------------------


def test_quality_is_that_of_single_texts(shared):
    model, corpus = bag_for(shared), shared.corpus
    ids, types = shared.tokenizer.encode(corpus.validation.texts, corpus.validation.seconds, 24)
    right, loss = 0, 0.0
    for one, kinds, label in zip(ids, types, corpus.validation.labels, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([one]), torch.ones(1, len(one)), torch.tensor([kinds]))[0]
        right += LABELS[int(logits.argmax())] == label
        loss -= float(logits.log_softmax(0)[LABELS.index(label)])
    n = len(ids)
    found = shared.quality(model, shared.metrics)
    assert found["top1"] == pytest.approx(100 * right / n)
    assert found["loss"] == pytest.approx(loss / n, rel=1e-5)
    assert found == shared.quality(Structured(model), shared.metrics)


def test_label_smoothing_is_of_the_training_loss_alone(shared):
    model, other = bag_for(shared), tiny(label_smoothing=0.3)
    batch = next(shared.train_batches(16, seed=0))
    assert other.loss(model, batch) != shared.loss(model, batch)
    assert other.quality(model, ["loss"]) == shared.quality(model, ["loss"])


def test_logits_of_another_shape_are_one_clear_line(shared):
    batch = next(shared.train_batches(4, seed=0))
    with pytest.raises(
        NasplugError, match=r"must give logits of shape \(texts, classes\), but gave"
    ):
        shared.criterion(torch.zeros(4, 5, 3), batch)


def test_it_learns():
    """A bag of tokens learns which numbers are small: well above chance, below what order would give."""
    task = tiny(pairs=1600, languages=["en"])
    model = bag_for(task)
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    for epoch in range(8):
        for batch in task.train_batches(64, 0, epoch):
            optimizer.zero_grad()
            task.loss(model, batch).backward()
            optimizer.step()
    assert task.quality(model.eval(), ["top1"])["top1"] > 45


# ---- generated data ------------------------------------------------------------------------------


def test_generated_pairs_are_what_their_labels_say():
    corpus = generate(320, ["en", "fr"], 0)
    numbers = {num2words(n, lang=name): n for name in ("en", "fr") for n in range(1000)}
    parts = (corpus.train, corpus.validation, corpus.test)
    assert [len(part) for part in parts] == [320, 20, 20]
    assert "generated" in corpus.name and corpus.labels == LABELS
    close, differ, seen = 0, 0, []
    for part in parts:
        for one, other, label in zip(part.texts, part.seconds, part.labels, strict=True):
            a, b = numbers[one], numbers[other]
            assert label == ("smaller" if a < b else "equal" if a == b else "larger")
            close += a != b and sum(x != y for x, y in zip(f"{a:03}", f"{b:03}", strict=True)) == 1
            differ += a != b
            seen.append((one, other))
    assert len(set(seen)) == len(seen) == 360 and 0.4 < close / differ < 0.6
    assert {label: corpus.train.labels.count(label) for label in LABELS} == {
        "smaller": 107, "equal": 107, "larger": 106
    }  # fmt: skip
    assert corpus == generate(320, ["en", "fr"], 0) != generate(320, ["en", "fr"], 1)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"languages": ["en", "xx"]}, "unknown language of the generated data 'xx'"),
        ({"languages": ["en", "en"]}, "must name each language once"),
        ({"pairs": 10**6}, "pairs of the generated data must be 48 to 18000"),
        ({"vocabulary": 20}, r"must have at least \d+ tokens, .* type task.vocabulary=\d+ or more"),
        (
            {"vocabulary": 9000},
            r"must have at most \d+ tokens, .* type task.vocabulary=\d+ or less",
        ),
        ({"vocabulary": "nowhere"}, "or a folder with one, but there is no nowhere"),
        (
            {"max_length": 4},
            "must have room for the special tokens and a token of each text, 5, but got 4",
        ),
    ],
)
def test_wrong_settings_are_one_clear_line(knobs, words):
    with pytest.raises(NasplugError, match=words) as caught:
        task = tiny(**knobs)
        _ = task.network_dimensions, task.steps_per_epoch(8, 0), next(task.train_batches(8, 0))
    assert "\n" not in str(caught.value)


# ---- tokenizers ----------------------------------------------------------------------------------

CODE = (
    "from nasplug_text.tokenizer import learn; import zlib; "
    "words = ['abcab bcd cda bab', 'dabba bacad', 'cab dab', 'adac'] * 3; "
    "print(zlib.crc32(learn(words, 26, True, False).text.encode()))"
)


def test_the_same_texts_give_the_same_vocabulary_in_another_process():
    """Of few texts many pairs of tokens are equally frequent; the library numbers as a hash map does."""
    found = {
        subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True).stdout
        for _ in range(4)
    }
    assert len(found) == 1 and found != {b""}


def test_special_tokens_in_a_text_are_its_characters():
    made = learn(["a b [SEP] sep"] * 4, 40, True, False)
    (ids,), _ = made.encode(["a [SEP] b"], None, 32)
    assert ids.count(3) == 1 and ids[0] == 2 and ids[-1] == 3 and 1 not in ids
    assert made.encode([""], None, 32)[0] == [[2, 3]]


def test_a_pair_is_cut_at_its_longer_part():
    made = learn(["a b c d e f"], 30, True, False)
    (ids,), (types,) = made.encode(["a b c d e f"], ["a b"], 8)
    assert len(ids) == 8 and types == [0, 0, 0, 0, 0, 1, 1, 1]


def test_a_given_vocabulary(tmp_path):
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "the", "cat", "##s", "dog"]
    file = tmp_path / "vocab.txt"
    file.write_text("".join(f"{w}\n" for w in words))
    for path in (file, tmp_path):
        made = read_tokenizer(str(path), None)
        assert len(made) == 8 and made.padding == 0
        assert made.encode(["The CATS bark"], None, 32)[0] == [[1, 4, 5, 6, 3, 2]]
    assert read_tokenizer(str(file), False).encode(["The"], None, 9)[0] == [[1, 3, 2]]
    data = write_lines(tmp_path / "train.txt")
    task = TextClassification(data, vocabulary=str(file))
    assert task.network_dimensions == {"num_classes": 2, "vocabulary": 8, "max_length": 128}
    (tmp_path / "tokenizer.json").write_text(made.text)
    assert read_tokenizer(str(tmp_path), None).encode(["CATS"], None, 9)[0] == [[1, 5, 6, 2]]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("vocab.txt", "[PAD]\n[CLS]\nthe\n", r"but it lacks \[UNK\], \[SEP\]"),
        ("vocab.txt", "[PAD]\n[CLS]\n[SEP]\n[UNK]\na\na\n", "but it has a token twice"),
        ("tokenizer.json", "{}", "must be a tokenizer as the library tokenizers writes it"),
        ("tokenizer.json", "no", "must be a tokenizer as the library tokenizers writes it"),
    ],
)
def test_a_damaged_tokenizer_is_one_clear_line(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(NasplugError, match=words) as caught:
        read_tokenizer(str(tmp_path), None)
    assert "\n" not in str(caught.value)


# ---- application ---------------------------------------------------------------------------------

ALLOW = ["encoder_nets"]
ASKED = [("one hundred", "cent"), ("deux", "drei"), ("nine", "nine")]


def export(folder, task):
    space = Bags(**task.network_dimensions)
    run = search(space, Untrained(space), make("strategy", "grid"), ["width"], 2, task=task)
    return run.export(0, folder)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, shared):
    return export(tmp_path_factory.mktemp("export") / "e", shared)


def test_it_classifies_as_it_was_measured(exported, shared):
    network = nasplug.load(exported, ALLOW)
    answers = network.classify(ASKED)
    assert answers == network.predict(["\t".join(pair) for pair in ASKED])
    ids, types = shared.tokenizer.encode(*zip(*ASKED, strict=True), 24)
    for one, kinds, answer in zip(ids, types, answers, strict=True):
        with torch.no_grad():
            logits = network(torch.tensor([one]), torch.ones(1, len(one)), torch.tensor([kinds]))
        chances = dict(zip(LABELS, logits.softmax(-1)[0].tolist(), strict=True))
        assert answer["probabilities"] == pytest.approx(chances, abs=1e-6)
        assert answer["label"] == max(chances, key=chances.get)
        assert answer["probability"] == answer["probabilities"][answer["label"]]
        given = list(answer["probabilities"].values())
        assert given == sorted(given, reverse=True)
    assert json.loads(json.dumps(answers)) == answers
    assert network.classify([]) == []


def test_accuracy_by_the_application_is_the_task_s(exported, shared):
    network, test = nasplug.load(exported, ALLOW), shared.corpus.test
    answers = network.classify(zip(test.texts, test.seconds, strict=True))
    right = sum(a["label"] == label for a, label in zip(answers, test.labels, strict=True))
    found = shared.test_quality(network, ["top1"])
    assert found == {"top1": pytest.approx(100 * right / len(test))}


def test_single_texts(tmp_path):
    task = TextClassification(write_lines(tmp_path / "train.txt"), vocabulary=70, max_length=16)
    network = nasplug.load(export(tmp_path / "e", task), ALLOW)
    texts = [text for texts in TEXTS.values() for text in texts]
    answers = network.classify([*texts, "", "☃", "long " * 500])
    assert len(answers) == len(texts) + 3 and {a["label"] for a in answers} <= set(TEXTS)
    assert network.classify([texts[3]]) == [
        {**answers[3], "probability": pytest.approx(answers[3]["probability"]),
         "probabilities": pytest.approx(answers[3]["probabilities"])}
    ]  # fmt: skip
    with pytest.raises(NasplugError, match="must be given a list of texts, but got"):
        network.classify([("a", "pair")])


@pytest.mark.parametrize("wrong", ["one text", ["no tab"], [("a", "b", "c")], [3], [("a", 3)]])
def test_what_is_no_pair_is_one_clear_line(exported, wrong):
    with pytest.raises(NasplugError, match="must be given a list of pairs of texts, or texts with"):
        nasplug.load(exported, ALLOW).classify(wrong)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokenizer": "{}"}, "the network's tokenizer must be a tokenizer"),
        ({"tokenizer": None}, "the network's tokenizer must be a tokenizer"),
        ({"labels": ["a", "b"]}, "there are 2 and the network has 3 classes"),
        ({"labels": "abc"}, "labels must be a list of names"),
        (
            {"tokenizer": learn(["a b c"] * 9, 10, True, False).text},
            None,
        ),
        (
            {"tokenizer": tiny(vocabulary=100).tokenizer.text},
            "must take 24 tokens of a vocabulary of 100, but: index out of range",
        ),
    ],
)
def test_a_strangers_file_is_one_clear_line(exported, tmp_path, change, words):
    for file in exported.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    described = json.loads((tmp_path / "network.json").read_text())
    described["task"] = {**described["task"], **change}
    (tmp_path / "network.json").write_text(json.dumps(described))
    if words is None:  # a smaller vocabulary cannot be told from the right one
        assert nasplug.load(tmp_path, ALLOW).classify(ASKED)
        return
    with pytest.raises(NasplugError, match=words) as caught:
        nasplug.load(tmp_path, ALLOW)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_that_was_kept_is_the_same(shared):
    again = TextTokenizer.checked(shared.deployment_info()["tokenizer"], "it")
    assert again.encode(["two"], ["deux"], 24) == shared.tokenizer.encode(["two"], ["deux"], 24)
