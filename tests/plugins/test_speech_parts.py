"""Parts of the task `speech` against independent computations: features, decoding, scores, wav files."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nasplug_speech.features import LogMel, mel_filters, spec_augment
from nasplug_speech.scoring import ctc_greedy, edit_distance, word_error_rate
from nasplug_speech.wav import encoded, header, read, resampled
from speech_nets import tone, wav

# ---- word error rate -----------------------------------------------------------------------------


def test_word_error_rates_by_hand():
    assert word_error_rate(["the cat sat"], ["the cat sat"]) == 0
    assert word_error_rate(["the cat"], ["the cat sat"]) == pytest.approx(100 / 3)  # deletion
    assert word_error_rate(["a the cat sat"], ["the cat sat"]) == pytest.approx(
        100 / 3
    )  # insertion
    assert word_error_rate(["the dog sat"], ["the cat sat"]) == pytest.approx(
        100 / 3
    )  # substitution
    assert word_error_rate(["", "x y"], ["one two", "x y"]) == 50  # of all words together
    assert word_error_rate(["a b c d"], ["e"]) == 400
    assert edit_distance("kitten", "sitting") == 3 and edit_distance("", "abc") == 3


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edit_distance_is_the_recursion(one, other):
    def slow(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(slow(a[1:], b) + 1, slow(a, b[1:]) + 1, slow(a[1:], b[1:]) + (a[0] != b[0]))

    assert edit_distance(one, other) == slow(one, other)


# ---- CTC -----------------------------------------------------------------------------------------


def test_greedy_decoding_by_hand():
    path = [0, 5, 5, 0, 5, 6, 6, 4, 0, 7]
    logits = torch.full((1, 10, 8), -1.0)
    logits[0, range(10), path] = 1.0
    assert ctc_greedy(logits, torch.tensor([10])) == [[5, 5, 6, 4, 7]]
    assert ctc_greedy(logits, torch.tensor([3])) == [[5]]
    logits[0, 0, 1:3] = 9.0  # BEGIN and END are never said
    assert ctc_greedy(logits, torch.tensor([10])) == [[5, 5, 6, 4, 7]]


@given(st.lists(st.integers(4, 6), min_size=1, max_size=5), st.integers(0, 2**20))
def test_a_path_of_a_transcript_is_decoded_to_it(ids, seed):
    rng = np.random.default_rng(seed)
    path = []
    for before, token in itertools.pairwise([None, *ids]):
        path += [0] * int(rng.integers(1 if before == token else 0, 3))
        path += [token] * int(rng.integers(1, 4))
    logits = torch.nn.functional.one_hot(torch.tensor(path), 7).float()[None]
    assert ctc_greedy(logits, torch.tensor([len(path)])) == [ids]


# ---- features ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bands", "fft", "rate"), [(40, 512, 8000), (80, 1024, 16000), (5, 64, 8000)]
)
def test_mel_filters_are_triangles_between_even_mels(bands, fft, rate):
    found = mel_filters(bands, fft, rate)
    top = 1127.0 * np.log1p(rate / 2 / 700)  # the same scale by natural logarithms
    corners = 700 * np.expm1(np.arange(bands + 2) * top / (bands + 1) / 1127.0)
    frequencies = np.linspace(0, rate / 2, fft // 2 + 1)
    for band in range(bands):
        expected = np.interp(frequencies, corners[band : band + 3], [0, 1, 0])
        np.testing.assert_allclose(found[:, band], expected, atol=1e-3)


def test_a_tone_is_loudest_in_its_band_and_loudness_does_not_matter():
    make = LogMel(8000, 20)
    filters = mel_filters(20, make.fft, 8000)
    samples = np.concatenate([tone(1000, 0.3), tone(2000, 0.3)]).astype(np.float32) / 32768
    features = make(samples)
    assert features.shape == (1 + 4800 // 80, 20) == (make.frames(4800), 20)
    for frame, hertz in ((15, 1000), (45, 2000)):
        best = filters[round(hertz * make.fft / 8000)].argmax()
        change = features[frame] - features[60 - frame]
        assert int(change.argmax()) == best
    torch.testing.assert_close(make(samples * 0.01), features, atol=1e-3, rtol=0)
    assert features.mean(0).abs().max() < 1e-5


def test_a_frame_is_the_energy_written_out():
    make = LogMel(8000, 12)
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(2000).astype(np.float32)
    around = np.pad(samples.astype(float), make.fft // 2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)
    energies = []
    for t in range(make.frames(2000)):
        middle = t * 80 + make.fft // 2
        part = around[middle - 100 : middle + 100] * window
        spectrum = np.abs(np.fft.rfft(part, make.fft)) ** 2
        energies.append(spectrum @ mel_filters(12, make.fft, 8000))
    logs = np.log(np.array(energies) + 1e-5 * np.mean(energies))
    logs -= logs.mean(0)
    np.testing.assert_allclose(make(samples).numpy(), logs / logs.std(), atol=1e-3)


def test_silence_has_features():
    assert LogMel(8000, 12)(np.zeros(500, np.float32)).isfinite().all()
    assert LogMel(8000, 12)(np.zeros(1, np.float32)).shape == (1, 12)


def test_masks_are_as_many_and_as_wide_as_they_may_be():
    whole = torch.ones(100, 40)
    bands, frames = set(), set()
    for seed in range(200):
        masked = spec_augment(whole, np.random.default_rng(seed), 1, 8, 1, 12)
        bands.add(int((masked.sum(0) == 0).sum()))
        frames.add(int((masked.sum(1) == 0).sum()))
    assert bands == set(range(9)) and frames == set(range(13))
    assert whole.all()
    short = spec_augment(torch.ones(4, 40), np.random.default_rng(0), 0, 0, 3, 12)
    assert short.all()  # a fifth of 4 frames is none


# ---- wav files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_samples_of_every_width(width, tmp_path):
    most = 2 ** (8 * width - 1)
    values = np.array([0, most // 2, -(most // 2), most - 1, -most])
    file = tmp_path / "a.wav"
    file.write_bytes(wav(values + 128 if width == 1 else values, 11025, width))
    samples, rate = read(lambda: file.open("rb"), "a.wav")
    assert rate == 11025 and header(lambda: file.open("rb"), "a.wav") == (5, 11025)
    np.testing.assert_allclose(samples, [0, 0.5, -0.5, 1, -1], atol=0.01)


def test_channels_are_averaged(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(wav([[1000, 3000], [-1000, 1000]], channels=2))
    samples, _ = read(lambda: file.open("rb"), "a.wav")
    np.testing.assert_allclose(samples * 32768, [2000, 0])


def test_what_is_written_is_read(tmp_path):
    file, samples = tmp_path / "a.wav", np.linspace(-1, 1, 50).astype(np.float32)
    file.write_bytes(encoded(samples, 8000))
    np.testing.assert_allclose(read(lambda: file.open("rb"), "")[0], samples, atol=1e-4)


@pytest.mark.parametrize(("rate", "wanted"), [(16000, 8000), (8000, 16000), (11025, 8000)])
def test_resampling_keeps_a_tone_and_its_length(rate, wanted):
    time = np.arange(rate) / rate
    changed = resampled(np.sin(2 * np.pi * 440 * time).astype(np.float32), rate, wanted)
    assert len(changed) == wanted
    expected = np.sin(2 * np.pi * 440 * np.arange(wanted) / wanted)
    middle = slice(wanted // 4, 3 * wanted // 4)
    assert np.abs(changed[middle] - expected[middle]).max() < 0.02
