"""Latency of hardware-aware transformers: features, published predictors, and regressions."""

import csv
import json
import logging

import numpy as np
import pytest
import torch
from hat_spaces import HatSpace, hat_variables, published
from nasplug_hat.latency import files, perceptron
from nasplug_hat.latency.evaluator import HatLatency, errors
from nasplug_hat.latency.features import NAMES, NORM, Features
from nasplug_hat.latency.files import read_measurements
from nasplug_hat.latency.perceptron import Perceptron
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict

import nasplug
from nasplug import NasplugError, SearchSpace
from nasplug.contracts.types import full_trials
from nasplug.testing import EvaluatorContract, ToyEvaluator, ToySpace

FILES = {
    "wmt14ende_titanxp": "wmt14ende_gpu_titanxp",
    "wmt14ende_xeon": "wmt14ende_cpu_xeon",
    "iwslt14deen_titanxp": "iwslt14deen_gpu_titanxp",
}


@pytest.fixture(scope="module")
def hat(shared_data):
    return shared_data / "hat"


@pytest.fixture(scope="module")
def networks(hat):
    """The published sub-transformers, by name."""
    found = json.loads((hat / "subtransformers.json").read_text())["subtransformers"]
    return {network["name"]: network for network in found}


# ---- features ------------------------------------------------------------------------------------


def test_features_by_hand():
    space = HatSpace()
    arch = space.arch(
        {
            "encoder.embedding": 512,
            "encoder.layers": 6,
            **{f"encoder.layer{k}.ffn": 2048 if k == 1 else 1024 for k in range(1, 7)},
            **{f"encoder.layer{k}.heads": 8 for k in range(1, 7)},
            "decoder.embedding": 640,
            "decoder.layers": 2,
            "decoder.layer1.ffn": 3072,
            "decoder.layer2.ffn": 1024,
            "decoder.layer1.self_attention.heads": 4,
            "decoder.layer2.self_attention.heads": 8,
            "decoder.layer1.cross_attention.heads": 4,
            "decoder.layer2.cross_attention.heads": 4,
            "decoder.layer1.encoder_layers": 3,
            "decoder.layer2.encoder_layers": 2,
        }
    )
    by_hand = [512, 6, 7168 / 6, 8, 640, 2, 2048, 6, 4, 2.5]
    assert Features(space)([arch])[0] == pytest.approx(by_hand, rel=1e-15)
    assert Features(space)([]).shape == (0, 10)


def test_features_of_many_are_those_of_config_one_by_one():
    space = HatSpace(iwslt=True)
    archs = space.valid(space.sample(200, np.random.default_rng(0)))
    assert len({space.config(a)["decoder.layers"] for a in archs}) == 6
    for arch, row in zip(archs, Features(space)(archs), strict=True):
        config = space.config(arch)
        values = []
        for half, parts in (
            ("encoder", ("ffn", "heads")),
            ("decoder", ("ffn", "self_attention.heads", "cross_attention.heads", "encoder_layers")),
        ):
            values += [config[f"{half}.embedding"], config[f"{half}.layers"]]
            for part in parts:
                own = [
                    config[name]
                    for name in config
                    if name.startswith(f"{half}.layer") and name.endswith(f".{part}")
                ]
                assert len(own) == config[f"{half}.layers"]
                values.append(sum(own) / len(own))
        assert row == pytest.approx(values, rel=1e-15)


def test_features_of_the_published_networks(networks):
    for network in networks.values():
        space = HatSpace(iwslt="iwslt" in network["name"])
        row = Features(space)([published(space, network["config"])])[0]
        assert row == pytest.approx(network["features"], rel=1e-14)


def test_the_test_space_is_hat_s():
    assert len(hat_variables()) == 40
    assert f"{HatSpace().size:.2e}" == "4.18e+14"


# ---- published predictors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "mape", "tau"),
    [
        ("wmt14ende_gpu_titanxp", 5.91, 0.844),
        ("wmt14ende_cpu_xeon", 4.79, 0.893),
        ("iwslt14deen_gpu_titanxp", 6.98, 0.823),
    ],
)
def test_error_of_the_published_predictors(hat, file, mape, tau):
    X, y = read_measurements(hat / f"{file}_all.csv")
    scale = 300 if "xeon" in file else 200
    found = errors(Perceptron.read(hat / f"{file}.pt").predict(X / NORM) * scale, y)
    assert len(y) == 2000
    assert (round(found[0], 2), round(found[2], 3)) == (mape, tau)


@pytest.mark.parametrize(
    ("name", "milliseconds"),
    [
        ("HAT_iwslt14deen_titanxp@109.0ms_bleu@34.5", 110.83),
        ("HAT_wmt14ende_xeon@137.9ms_bleu@25.8", 145.18),
    ],
)
def test_latency_of_two_published_networks(hat, networks, name, milliseconds):
    space = HatSpace(iwslt="iwslt" in name)
    file = hat / f"{FILES[name.split('@')[0][4:]]}.pt"
    arch = published(space, networks[name]["config"])
    (outcome,) = HatLatency(space, str(file)).evaluate(full_trials([arch]), ["latency"])
    assert round(outcome.values["latency"], 2) == milliseconds


def test_latency_of_the_published_network_of_208_ms(hat):
    """HAT_wmt14ende_titanxp@208.1ms_bleu@28.5, whose predictor says 227.55."""
    layers = {
        "encoder": {"ffn": [3072] * 6, "heads": [8, 4, 8, 8, 8, 4]},
        "decoder": {
            "ffn": [2048, 2048, 3072, 3072, 3072],
            "self_attention.heads": [8, 8, 8, 4, 8],
            "cross_attention.heads": [4, 8, 8, 8, 8],
            "encoder_layers": [1, 2, 2, 2, 1],
        },
    }
    config = {"encoder.embedding": 512, "decoder.embedding": 512, "decoder.layers": 5}
    for half, parts in layers.items():
        for part, values in parts.items():
            config |= {f"{half}.layer{k}.{part}": v for k, v in enumerate(values, start=1)}
    space = HatSpace()
    evaluator = HatLatency(space, str(hat / "wmt14ende_gpu_titanxp.pt"))
    assert round(evaluator.costs([space.arch(config)])["latency"][0], 2) == 227.55


def test_latency_of_every_published_network_whose_predictor_is_here(hat, networks):
    checked = 0
    for name, network in networks.items():
        if file := FILES.get(name.split("@")[0][4:]):
            space = HatSpace(iwslt="iwslt" in name)
            arch = published(space, network["config"])
            value = HatLatency(space, str(hat / f"{file}.pt")).costs([arch])["latency"][0]
            assert round(value, 1) == network["predicted_latency_ms"]
            checked += 1
    assert checked == 8


# ---- regressions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "mape", "tau"),
    [
        ("wmt14ende_gpu_titanxp", 6.15, 0.787),
        ("wmt14ende_cpu_xeon", 5.32, 0.883),
        ("iwslt14deen_gpu_titanxp", 8.54, 0.764),
    ],
)
def test_ridge_on_the_published_measurements(hat, file, mape, tau):
    """Five folds of rows as they stand in the file."""
    X, y = read_measurements(hat / f"{file}_all.csv")
    found = errors(cross_val_predict(Ridge(0.1), X / NORM, y, cv=KFold(5)), y)
    assert found[0] == pytest.approx(mape, abs=0.02)
    assert found[2] == pytest.approx(tau, abs=0.001)


@pytest.mark.parametrize("model", ["ridge", "gp"])
def test_fitted_to_published_measurements(hat, caplog, model):
    file = hat / "wmt14ende_cpu_xeon_all.csv"
    with caplog.at_level(logging.INFO, "nasplug_hat"):
        evaluator = HatLatency(HatSpace(), str(file), model)
        evaluator.prepare()
    (line,) = (record.getMessage() for record in caplog.records)
    assert "fitted to 1600 rows" in line and "on 200 others: MAPE" in line
    assert float(line.split("MAPE ")[1].split()[0]) < 5.5
    assert float(line.split("Kendall ")[1]) > 0.85
    archs = HatSpace().sample(500, np.random.default_rng(0))
    theirs = HatLatency(HatSpace(), str(hat / "wmt14ende_cpu_xeon.pt")).costs(archs)["latency"]
    assert errors(evaluator.costs(archs)["latency"], theirs)[0] < 8


def measurements(path, rows=200):
    """Of a made-up device, linear in the features."""
    rng = np.random.default_rng(0)
    X = Features(HatSpace())(HatSpace().sample(rows, rng))
    y = 3 * X[:, 5] + X[:, 6] / 1000
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*NAMES, "latency_mean_encoder", "latency_mean_decoder"])
        writer.writerows([*x, 1.5, value] for x, value in zip(X.tolist(), y.tolist(), strict=True))


def test_hat_s_perceptron_learns(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(perceptron, "STEPS", 300)
    monkeypatch.setattr(perceptron, "RATE", 1e-3)
    monkeypatch.setattr(perceptron, "WIDTH", 50)
    measurements(tmp_path / "device.csv")
    evaluators = [HatLatency(HatSpace(), str(tmp_path / "device.csv")) for _ in range(2)]
    with caplog.at_level(logging.INFO, "nasplug_hat"):
        before = torch.random.get_rng_state()
        columns = [e.costs(HatSpace().sample(50, np.random.default_rng(1))) for e in evaluators]
    assert (columns[0]["latency"] == columns[1]["latency"]).all(), "one seed, one predictor"
    assert torch.equal(before, torch.random.get_rng_state())
    assert float(caplog.messages[0].split("Kendall ")[1]) > 0.9
    widths = [weight.shape for weight, _ in evaluators[0]._loaded[1].layers]
    assert widths == [(50, 10), (50, 50), (50, 50), (50, 50), (1, 50)]


class TestRidge(EvaluatorContract):
    timed = ()

    @pytest.fixture
    def evaluator(self, tmp_path):
        measurements(tmp_path / "device.csv")
        return HatLatency(HatSpace(), str(tmp_path / "device.csv"), "ridge")

    @pytest.fixture
    def space(self):
        return HatSpace()

    def test_is_exact_where_the_device_is_linear(self, evaluator, space):
        archs = space.sample(50, np.random.default_rng(2))
        X = Features(space)(archs)
        by_hand = 3 * X[:, 5] + X[:, 6] / 1000 + 1.5
        assert evaluator.costs(archs)["latency"] == pytest.approx(by_hand, rel=1e-3)


class TestPublished(EvaluatorContract):
    timed = ()

    @pytest.fixture
    def evaluator(self, tmp_path):
        return HatLatency(HatSpace(), write_predictor(tmp_path / "own_xeon.pt"))

    @pytest.fixture
    def space(self):
        return HatSpace()


def write_predictor(path, width=20, layers=3, **changed):
    """A file in the published form, with random weights."""
    torch.manual_seed(0)
    ends = {"first_layer": (width, 10), **{f"layers.{i}": (width, width) for i in range(layers)}}
    state = {}
    for name, shape in {**ends, "predict": (1, width)}.items():
        state[f"{name}.weight"] = torch.randn(shape) / 5
        state[f"{name}.bias"] = torch.randn(shape[0]) / 5
    torch.save({k: v for k, v in {**state, **changed}.items() if v is not None}, path)
    return str(path)


def test_a_search_within_a_limit(tmp_path):
    space, evaluator = HatSpace(), HatLatency(HatSpace(), write_predictor(tmp_path / "xeon.pt"))
    column = evaluator.costs(space.sample(500, np.random.default_rng(0)))["latency"]
    limit = float(np.quantile(column, 0.3))
    found = nasplug.search(
        space,
        [ToyEvaluator(), evaluator],
        nasplug.make("strategy", "evolution"),
        ["score"],
        40,
        constraints={"latency": {"max": limit}},
    ).table()
    assert len(found) == 40 and found["latency"].max() <= limit


def test_the_scale_is_that_of_the_device_or_the_one_given(tmp_path):
    archs = HatSpace().sample(5, np.random.default_rng(0))
    pi, xeon, titan = (
        HatLatency(HatSpace(), write_predictor(tmp_path / f"x_{n}.pt")).costs(archs)["latency"]
        for n in ("cpu_raspberrypi", "cpu_xeon", "gpu_titanxp")
    )
    given = HatLatency(HatSpace(), write_predictor(tmp_path / "x.pt"), scale=200).costs(archs)
    assert pi == pytest.approx(titan * 25, abs=1e-4) and xeon == pytest.approx(
        titan * 1.5, abs=1e-4
    )
    assert (given["latency"] == titan).all()


def test_a_published_name_is_fetched_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "ADDRESS", tmp_path.as_uri())
    path = tmp_path / "iwslt14deen_gpu_titanxp.pt"
    archs = HatSpace(True).sample(5, np.random.default_rng(0))
    known = HatLatency(HatSpace(True), write_predictor(path)).costs(archs)["latency"]
    for _ in range(2):
        found = HatLatency(HatSpace(True), "iwslt14deen_gpu_titanxp").costs(archs)["latency"]
        assert (found == known).all()
        path.unlink(missing_ok=True)
    with pytest.raises(NasplugError, match=r"latency predictor could not be fetched .* file=PATH"):
        HatLatency(HatSpace(True), "wmt14ende_cpu_xeon").prepare()


def test_far_extrapolation_is_said(tmp_path, caplog):
    class Tiny(HatSpace):
        variables = hat_variables(embedding=(48, 24))

    HatLatency(Tiny(), write_predictor(tmp_path / "xeon.pt")).prepare()
    assert "encoder_embed_dim of 512 to 640, and this space has 24 to 48" in caplog.text
    caplog.clear()
    for iwslt in (False, True):
        HatLatency(HatSpace(iwslt), write_predictor(tmp_path / "xeon.pt")).prepare()
    assert not caplog.records


# ---- bad input -----------------------------------------------------------------------------------


class Shallow(HatSpace):
    """One of its variables has another name."""

    variables = tuple(v for v in hat_variables() if v.name != "decoder.layer6.ffn")


def nothing(path):
    return str(path / "xeon.pt")


def text(path):
    (path / "xeon.pt").write_text("latency")
    return str(path / "xeon.pt")


def table(content):
    def write(path):
        (path / "own.csv").write_text(content)
        return str(path / "own.csv")

    return write


def predictor(name="xeon.pt", **changes):
    return lambda path: write_predictor(path / name, **changes)


def short(path):
    measurements(path / "own.csv", rows=19)
    return str(path / "own.csv")


HEADER = ",".join([*NAMES, "latency_mean_encoder", "latency_mean_decoder"])
ROW = "\n640,6,2048,6,640,6,2048,6,6,2,1,"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (lambda path: None, r"needs the file of a published predictor \(\.pt\) or of measurements"),
        (nothing, "is no file, or empty"),
        (lambda path: str(path), r"file must end in \.pt or \.csv, or be one of wmt14ende_cpu"),
        (
            lambda path: "wmt14ende_gpu_v100",
            "wmt14enfr_gpu_titanxp, .*, but got wmt14ende_gpu_v100",
        ),
        (text, "holds no state dict"),
        (predictor(**{"predict.bias": torch.zeros(1).to_sparse()}), "holds no state dict"),
        (predictor(**{"first_layer.weight": torch.zeros(20, 9)}), r"\(20, 9\) where \(20, 10\)"),
        (predictor(**{"predict.weight": torch.zeros(2, 20)}), r"\(2, 20\) where \(1, 20\) fits"),
        (predictor(**{"predict.bias": None}), "missing: predict.bias"),
        (predictor(**{"last.weight": torch.zeros(1)}), "too many or missing: last.weight"),
        (predictor(**{"predict.bias": torch.full((1,), torch.nan)}), "predict of .* is not finite"),
        (predictor(**{"predict.bias": 3}), "holds no state dict"),
        (predictor(**{"layers.1.bias": torch.zeros(19)}), r"layers\.1\.weight of .* \(20, 20\)"),
        (predictor("phone.pt"), "phone.pt names none of raspberrypi, xeon, titan; give"),
        (table("a,b\n1,2"), "has no column encoder_embed_dim"),
        (table(""), "is no file, or empty"),
        (table("\n"), "has no column encoder_embed_dim"),
        (table(HEADER + ROW + "x"), "could not convert string to float: 'x'"),
        (table(HEADER + "\n1,2"), "cannot be read: list index out of range"),
        (table(HEADER + (ROW + "nan") * 30), "in positive finite numbers, but some"),
        (table(HEADER + (ROW + "-3") * 30), "in positive finite numbers, but some"),
        (short, "at least 20 rows of measurements, but .* has 19"),
    ],
)
def test_bad_files_are_one_line(tmp_path, file, message):
    evaluator = HatLatency(HatSpace(), file(tmp_path))
    with pytest.raises(NasplugError, match=message) as error:
        evaluator.prepare()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("space", "missing"),
    [(ToySpace(), "encoder.layers"), (Shallow(), "decoder.layer6.ffn")],
)
def test_other_spaces_are_one_line(tmp_path, space: SearchSpace, missing):
    evaluator = HatLatency(space, write_predictor(tmp_path / "xeon.pt"))
    with pytest.raises(NasplugError, match=f"has no design variable '{missing}'; type e.g. "):
        evaluator.prepare()


def test_other_models_are_one_line():
    with pytest.raises(NasplugError, match="model must be mlp, ridge or gp, but got 'svr'"):
        HatLatency(HatSpace(), model="svr")
