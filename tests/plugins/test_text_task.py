"""The task `translation`: batches, loss, quality, data."""

import logging
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from nasplug_text.generated import KINDS, LANGUAGES, generate, german_words
from nasplug_text.translation import Translation
from num2words import num2words
from sequence_nets import Attending, Plain
from text_parts import tiny, write

from nasplug import NasplugError, choices, make, seeded
from nasplug.testing import TaskContract
from nasplug.toolkit.sequences.tokens import BEGIN, END, PADDING


@pytest.fixture(scope="module")
def shared():
    return tiny()


def network_for(task, seed=0):
    sizes = task.network_dimensions
    with seeded(seed):
        made = Attending(sizes["source_vocabulary"], sizes["target_vocabulary"])
    made.head.weight.data *= 3
    return made.eval()


class TestTranslation(TaskContract):
    @pytest.fixture
    def task(self, shared):
        return shared

    @pytest.fixture
    def model(self, task):
        return network_for(task)


class TestTwoVocabularies(TaskContract):
    @pytest.fixture
    def task(self):
        return tiny(joint=False, vocabulary=60, lowercase=True, beam=1)

    @pytest.fixture
    def model(self, task):
        return Plain(network_for(task))


def test_it_is_a_choice():
    assert "translation" in choices("task")
    assert make("task", "translation", beam=2).beam == 2


@pytest.mark.parametrize("batch_size", [1, 40, 300, 10**6])
def test_batches_hold_each_pair_once_and_at_most_the_tokens(shared, batch_size):
    seen = []
    for source, before, after in shared.train_batches(batch_size, seed=3, epoch=2):
        assert source.dtype == before.dtype == after.dtype == torch.int64
        assert before.shape == after.shape and len(source) == len(after)
        assert len(source) == 1 or max(source.numel(), after.numel()) <= batch_size
        for one, two, three in zip(source.tolist(), before.tolist(), after.tolist(), strict=True):
            source_ids, in_ids, out_ids = (
                [i for i in x if i != PADDING] for x in (one, two, three)
            )
            assert one[: len(source_ids)] == source_ids and source_ids[-1] == END
            assert in_ids[0] == BEGIN and out_ids[-1] == END and in_ids[1:] == out_ids[:-1]
            seen.append((tuple(source_ids[:-1]), tuple(out_ids[:-1])))
    train, (source, target) = shared.corpus.train, shared.vocabularies
    pairs = zip(source.encode(train.source), target.encode(train.target), strict=True)
    assert sorted(seen) == sorted((tuple(s), tuple(t)) for s, t in pairs)


def test_batches_are_full_where_they_can_be(shared):
    """No two neighbours by length would fit into one batch."""
    lengths = sorted(shared._training.longer.tolist())
    batches = sum(1 for _ in shared.train_batches(100, seed=0))
    cuts, count = 1, 0
    for length in lengths:
        if count and (count + 1) * length > 100:
            cuts, count = cuts + 1, 0
        count += 1
    assert batches == cuts < len(lengths)


def test_the_loss_is_that_of_single_sentences(shared):
    """One after the other, without padding, written out."""
    model, total, count = network_for(shared), 0.0, 0
    source, target = shared.vocabularies
    validation = shared.corpus.validation
    with torch.no_grad():
        for one, other in zip(validation.source, validation.target, strict=True):
            (read,), (written,) = source.encode([one]), target.encode([other])
            logits = model(torch.tensor([[*read, END]]), torch.tensor([[BEGIN, *written]]))[0]
            logs = logits.log_softmax(-1)
            for place, token in enumerate([*written, END]):
                total -= 0.9 * float(logs[place, token]) + 0.1 * float(logs[place].mean())
                count += 1
    assert shared.quality(model, ["loss"])["loss"] == pytest.approx(total / count, rel=1e-5)


def test_padding_changes_no_loss(shared):
    model, batch = network_for(shared), next(shared.train_batches(10**6, seed=0))
    assert any(bool((part == PADDING).any()) for part in batch)
    teacher = network_for(shared, seed=1)
    other = network_for(shared)
    for changed in (other.target, other.source):  # rows that only padding reads
        changed.weight.data[PADDING] += 9.0
    soft = shared.forward(teacher, batch)
    one, two = (shared.distillation(shared.forward(m, batch), soft) for m in (model, other))
    assert torch.equal(one, two)
    assert torch.equal(shared.loss(model, batch), shared.loss(other, batch))
    outputs = model(*shared.inputs(batch))
    assert torch.equal(shared.criterion(outputs, batch), shared.loss(model, batch))


def test_the_loss_never_decodes(shared, monkeypatch):
    monkeypatch.setattr("nasplug_text.translation.decode", None)
    assert list(shared.quality(network_for(shared), ["loss"])) == ["loss"]


def test_bleu_is_that_of_the_command(shared, tmp_path, monkeypatch, caplog):
    """`python -m sacrebleu` on the texts themselves."""
    texts = list(shared.corpus.validation.target)
    written = [" ".join(reversed(t.split())) if i % 3 == 0 else t for i, t in enumerate(texts)]
    ids = shared.vocabularies[1].encode(written)
    monkeypatch.setattr("nasplug_text.translation.decode", lambda *_: ids)
    (tmp_path / "out").write_text("\n".join(written) + "\n", encoding="utf-8")
    (tmp_path / "ref").write_text("\n".join(texts) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "out", "-b", "-w", "10"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    score = shared.quality(network_for(shared), ["bleu"])["bleu"]
    assert 0 < score < 100
    assert score == pytest.approx(float(done.stdout), abs=1e-9)
    signature = shared.deployment_info()["bleu"]
    assert signature.startswith("nrefs:1|case:mixed|") and "tok:13a" in signature


def test_quality_on_test_data_is_that_of_its_pairs(shared):
    model = network_for(shared)
    found = shared.test_quality(model, ["loss", "bleu"])
    again = tiny()
    corpus = again.corpus
    again.__dict__["corpus"] = type(corpus)("", corpus.train, corpus.test, None)
    assert found == again.quality(model, ["loss", "bleu"])
    assert found["loss"] != shared.quality(model, ["loss"])["loss"]
    assert again.test_quality(model, ["loss"]) == {}


def test_a_limit_of_validation_sentences(shared):
    few = tiny(validation_sentences=1)
    assert (
        len(few.corpus.validation) == 1
        and few.corpus.validation.source[0] == (shared.corpus.validation.source[0])
    )
    assert few.data_fingerprint() != shared.data_fingerprint()


def test_pairs_that_are_too_long_do_not_train(tmp_path, caplog):
    long = ["ein Mann liest " * 40, *["zwei hunde"] * 11]
    path = write(tmp_path, train_de=long)
    task = Translation(path, max_length=30)
    batches = list(task.train_batches(100, seed=0))
    assert sum(len(source) for source, _, _ in batches) == 11
    assert "1 training pairs have more than 30 tokens" in caplog.text
    with pytest.raises(NasplugError, match="at least 10 training pairs must have at most 1 tokens"):
        Translation(path, max_length=1).steps_per_epoch(100, 0)


def test_validation_that_is_too_long_is_cut_for_the_network(tmp_path):
    path = write(tmp_path, val_de=["ein Mann liest " * 40] * 12)
    task = Translation(path, max_length=30)
    assert set(task._validation.source.lengths.tolist()) == {30}
    quality = task.quality(network_for(task), task.metrics)
    assert all(map(math.isfinite, quality.values()))


# ---- generated data ------------------------------------------------------------------------------


def test_generated_sets_are_disjoint_by_number_and_always_the_same(caplog):
    corpus = generate(400, LANGUAGES, 0)
    sets = [{s.split(maxsplit=1)[1] for s in part.source} for part in _parts(corpus)]
    assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]
    assert [len(part) for part in _parts(corpus)] == [400, 20, 20]
    assert corpus == generate(400, LANGUAGES, 0) != generate(400, LANGUAGES, 1)
    tags = {s.split()[0] for s in corpus.train.source}
    assert tags == {f"<{language}>" for language in LANGUAGES}
    with caplog.at_level(logging.INFO, "nasplug_text"):
        assert tiny().corpus
    assert "generated: German number words" in caplog.text and "tok:13a" in caplog.text


def _parts(corpus):
    return corpus.train, corpus.validation, corpus.test


def test_generated_pairs_are_translations():
    corpus = generate(40, ["fr", "en"], 0)
    pairs = dict(zip(corpus.train.source, corpus.train.target, strict=True))
    numbers = {num2words(n, lang="de", to=k): (n, k) for n in range(3000) for k in KINDS}
    checked = 0
    for source, target in pairs.items():
        tag, german = source.split(maxsplit=1)
        if german in numbers:
            number, kind = numbers[german]
            assert target == num2words(number, lang=tag[1:-1], to=kind)
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("kind", KINDS)
def test_german_put_together_is_what_the_library_writes(kind):
    numbers = np.exp(np.random.default_rng(0).uniform(0, np.log(10**6), 300)).astype(int)
    edges = [h + r for h in (0, 1000, 21_000, 101_000) for r in (0, 1, 2, 3, 7, 100, 101, 999)]
    for number in [*numbers.tolist(), *edges]:
        assert german_words(number, kind) == num2words(number, lang="de", to=kind)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"languages": ["en", "xx"]}, "unknown language of the generated data 'xx'"),
        ({"languages": []}, "must name each target language once"),
        ({"languages": ["en", "en"]}, "must name each target language once"),
        ({"pairs": 19}, "pairs of the generated data must be 20 to "),
        ({"pairs": 10**8}, "pairs of the generated data must be 20 to "),
        ({"vocabulary": 20}, r"the joint vocabulary must have at least \d+ tokens"),
        (
            {"vocabulary": 20, "joint": False},
            r"the source vocabulary must have at least \d+ tokens",
        ),
        ({"vocabulary": 50_000}, r"the joint vocabulary must have at most \d+ tokens"),
    ],
)
def test_wrong_settings_are_one_clear_line(knobs, words):
    with pytest.raises(NasplugError, match=words) as caught:
        _ = tiny(**knobs).network_dimensions
    assert "\n" not in str(caught.value)


def test_the_vocabulary_of_an_error_works(shared):
    for size in (20, 50_000):
        with pytest.raises(NasplugError) as caught:
            _ = tiny(vocabulary=size).vocabularies
        said = int(str(caught.value).split("task.vocabulary=")[1].split()[0])
        assert tiny(vocabulary=said).network_dimensions["source_vocabulary"] == said


def test_multi30k(shared_data):
    task = Translation(str(shared_data / "multi30k"), validation_sentences=50)
    assert [len(part) for part in _parts(task.corpus)] == [29_000, 50, 1_000]
    assert task.network_dimensions == {"source_vocabulary": 4000, "target_vocabulary": 4000}
    assert task.corpus.test.source[0].startswith("Ein Mann mit einem orangefarbenen Hut")
    source, before, after = next(task.train_batches(1024, seed=0))
    assert max(source.numel(), before.numel(), after.numel()) <= 1024
    assert np.mean([len(x) for x in task.vocabularies[0].encode(task.corpus.train.source)]) < 20
