"""The task `speech`: its contract, batches, losses and quality."""

import logging
import math

import numpy as np
import pytest
import torch
from nasplug_speech.data import SpeechData
from nasplug_speech.generated import SYLLABLES, generate
from nasplug_speech.speech import Speech
from speech_nets import Hearing, network_for, wav, write_labelled, write_transcribed

from nasplug import NasplugError, choices, make
from nasplug.testing import TaskContract
from nasplug.toolkit.sequences.tokens import BEGIN, END, PADDING


def tiny(**knobs):
    return Speech(**{"sequences": 12, "fixed_sequences": 6, "mels": 10, **knobs})


class TestGenerated(TaskContract):
    @pytest.fixture
    def task(self):
        return tiny()

    @pytest.fixture
    def model(self, task):
        return network_for(task)


class TestLabels(TaskContract):
    @pytest.fixture
    def task(self, tmp_path):
        return tiny(path=write_labelled(tmp_path), answers="labels")

    @pytest.fixture
    def model(self, task):
        return network_for(task)


class TestTranscripts(TaskContract):
    @pytest.fixture
    def task(self, tmp_path):
        return tiny(path=write_transcribed(tmp_path), units="characters")

    @pytest.fixture
    def model(self, task):
        return network_for(task)


def test_it_is_a_choice():
    assert "speech" in choices("task")
    assert make("task", "speech", mels=20).mels == 20


def test_batches_hold_every_sequence_once():
    task = tiny()
    for size in (100, 700, 10**6):
        for epoch in (0, 1):
            part, rows = task.data.train(3, epoch), 0
            batches = list(task.train_batches(size, 3, epoch))
            assert len(batches) == task.steps_per_epoch(size, 3)
            said = []
            for features, frames, before, after in batches:
                rows += len(features)
                assert features.shape == (len(frames), int(frames.max()), 10)
                assert before.shape == after.shape and (before[:, 0] == BEGIN).all()
                for row, length, ids in zip(features, frames, after.tolist(), strict=True):
                    assert (row[length:] == 0).all()
                    ids = [i for i in ids if i != PADDING]
                    assert ids[-1] == END
                    said.append(task.vocabulary.decode(ids[:-1]))
            assert sorted(said) == sorted(part.answers()) and rows == 12


def test_batches_of_the_first_epoch_are_full_where_they_can_be():
    task = tiny()
    frames = sorted(task.data.train(0, 0).frames.tolist())
    limit = 2 * frames[-1]
    sizes = sorted(f.shape[0] * f.shape[1] for f, *_ in task.train_batches(limit, 0))
    assert sizes[-1] <= limit < sum(frames)
    assert len(sizes) < len(frames)


def test_every_epoch_has_new_sequences_and_quality_always_the_same():
    task, again = tiny(), tiny()
    first, second = (task.data.train(0, epoch).answers() for epoch in (0, 1))
    assert first != second and first == again.data.train(0, 0).answers()
    assert task.data.fixed["validation"].answers() == again.data.fixed["validation"].answers()
    assert task.data.fixed["validation"].answers() != task.data.fixed["test"].answers()


def test_the_loss_is_that_of_single_recordings(tmp_path):
    """One after the other, without padding, by the sum over all paths."""
    task = tiny(path=write_transcribed(tmp_path), mels=8)
    model, part = network_for(task), task.data.fixed["validation"]
    total, count = 0.0, 0
    with torch.no_grad():
        for place, text in enumerate(part.answers()):
            features, ids = part(place)[None], task.vocabulary.encode(text)
            logits, lengths = model(features, torch.tensor([features.shape[1]]))
            total -= paths(logits[0, : int(lengths)].log_softmax(-1).double().numpy(), ids)
            count += len(ids)
    assert task.quality(model, ["loss"])["loss"] == pytest.approx(total / count, rel=1e-5)


def paths(logs, ids):
    """log p of a label sequence by the forward recursion of Graves et al. 2006, equations 6 to 8."""
    states = [0]
    for i in ids:
        states += [i, 0]
    alpha = np.full(len(states), -np.inf)
    alpha[:2] = logs[0, states[:2]]
    for row in logs[1:]:
        old = alpha.copy()
        for s, token in enumerate(states):
            ways = [old[s]] + ([old[s - 1]] if s else [])
            if s > 1 and token != 0 and token != states[s - 2]:
                ways.append(old[s - 2])
            alpha[s] = np.logaddexp.reduce(ways) + row[token]
    return np.logaddexp(alpha[-1], alpha[-2])


def test_too_few_frames_are_said():
    class Short(Hearing):
        def forward(self, features, frames, tokens=None):
            logits, lengths = super().forward(features, frames)
            return logits, torch.ones_like(lengths)

    task = tiny()
    model = Short(10, len(task.vocabulary))
    with pytest.raises(NasplugError, match="at least as many frames as a transcript has tokens"):
        task.quality(model.eval(), ["loss"])
    assert math.isfinite(float(task.loss(model, next(task.train_batches(1000, 0))).detach()))


def test_a_network_that_hears_perfectly_has_no_errors():
    """It knows the answers; the metric sees only what is decoded."""
    task = tiny()
    part = task.data.fixed["validation"]
    known = {len(part(i)): task.vocabulary.encode(a) for i, a in enumerate(part.answers())}
    assert len(known) == len(part.frames)  # told apart by their lengths

    class Knowing(torch.nn.Module):
        slip = False

        def forward(self, features, frames, tokens):
            assert tokens.shape == (len(frames), 1)  # nothing of the transcript is given
            logits = torch.zeros(*features.shape[:2], len(task.vocabulary))
            logits[..., 0] = 1
            for row, length in enumerate(frames.tolist()):
                for place, token in enumerate(known[length][self.slip :]):
                    logits[row, 2 * place, token] = 2
            return logits, frames

    model = Knowing().eval()
    assert task.quality(model, ["wer"]) == {"wer": 0.0}
    model.slip = True  # the first word is not heard
    words = sum(len(a.split()) for a in part.answers())
    assert task.quality(model, ["wer"])["wer"] == pytest.approx(100 * len(known) / words)


def test_accuracy_is_that_of_labels(tmp_path):
    task = tiny(path=write_labelled(tmp_path), answers="labels")
    assert task.classes == ["high", "low"]
    model, part = network_for(task), task.data.fixed["validation"]
    right = 0
    for place, label in enumerate(part.answers()):
        features = part(place)[None]
        guess = model(features, torch.tensor([features.shape[1]])).argmax(1)
        right += task.classes[int(guess)] == label
    expected = 100 * right / len(part.frames)
    assert task.quality(model, ["top1"])["top1"] == pytest.approx(expected)


def test_generated_syllables_are_told_apart_by_split_and_always_the_same():
    corpus = generate(0)
    names = [{r.name for r in part} for part in corpus.values()]
    assert [len(n) for n in names] == [960, 240, 240] and len(set.union(*names)) == 1440
    assert {r.answer for r in corpus["test"]} == set(SYLLABLES)
    one, other = (generate.__wrapped__(0)["test"][5] for _ in range(2))
    assert one.opened().read() == other.opened().read()
    assert one.opened().read() != generate.__wrapped__(1)["test"][5].opened().read()


def test_characters_of_connected_words(tmp_path):
    task = tiny(path=write_labelled(tmp_path), connected=3, units="characters")
    assert "".join(task.vocabulary.tokens[4:]) == " ghilow"
    for answer in task.data.fixed["test"].answers():
        assert task.vocabulary.decode(task.vocabulary.encode(answer)) == answer
        assert set(answer.split()) <= {"low", "high"} and 1 <= len(answer.split()) <= 3


def test_connected_recordings_are_of_one_speaker_and_of_their_split(tmp_path):
    data = SpeechData(write_labelled(tmp_path), False, 4, 20, 5, 6, None, 8, 0.025, 0.01, 0)
    part = data.train(0, 0).utterances
    for place, members in enumerate(part.members):
        recordings = [part.single.recordings[m] for m in members]
        assert len({r.speaker for r in recordings}) == 1
        assert all(int(r.name.split("_")[2][:-4]) >= 4 for r in recordings)  # 0, 1: test; 2, 3: val
        samples = part.samples(place)
        assert len(samples) == part.length(place)
        first, single = part.gaps[place][0], part.single.samples(members[0])
        inside = samples[first : first + len(single)]
        assert np.abs(inside - single).max() < 0.05 and np.abs(samples[: first - 1]).max() < 0.05


def test_other_sample_rates_are_resampled_and_told(tmp_path, caplog):
    path = write_transcribed(tmp_path)
    (tmp_path / "r03.wav").write_bytes(wav(np.arange(3200) % 200, rate=16000))
    with caplog.at_level(logging.WARNING, "nasplug_speech"):
        task = tiny(path=path)
        lengths = {
            len(f.utterances.samples(i)) for f in (task.data.train(0, 0),) for i in range(20)
        }
    assert "recordings of 16000 samples a second are resampled to 8000" in caplog.text
    assert task.data.rate == 8000 and lengths <= {2400, 1600}
    assert tiny(path=path, sample_rate=4000).data.rate == 4000


def test_digits_of_fsdd(shared_data):
    task = tiny(path=str(shared_data / "fsdd" / "fsdd_recordings.zip"), connected=5)
    assert {s: len(p) for s, p in task.data.recorded.items()} == {
        "test": 300, "validation": 300, "train": 2400,
    }  # fmt: skip
    assert {int(r.name[:-4].split("_")[2]) for r in task.data.corpus["test"]} == set(range(5))
    assert task.vocabulary.tokens[4:] == list("0123456789") and task.data.rate == 8000


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"answers": "labels", "connected": 3}, "task.answers=transcripts"),
        ({"mels": 200}, "every mel band must hold a frequency"),
    ],
)
def test_wrong_settings_are_one_line(knobs, words):
    with pytest.raises(NasplugError, match=words) as caught:
        _ = tiny(**knobs).network_dimensions
    assert "\n" not in str(caught.value)


def test_a_network_for_labels_does_not_fit_transcripts():
    task = tiny()
    model = Hearing(10, 5, labelled=True).eval()
    with pytest.raises(NasplugError, match=r"task.answers=labels"):
        task.quality(model, ["wer"])
