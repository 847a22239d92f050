"""mode=correlate: coefficients, what is measured once, files, and mistakes."""

import csv
import json

import numpy as np
import pytest
from nasplug_proxies.correlate.mode import main
from nasplug_proxies.correlate.score_table import ScoreTable
from nasplug_proxies.correlate.statistics import correlation, cross_validated
from scipy.stats import kendalltau, spearmanr

from nasplug import Evaluator, Failure, Measurement, Metric, NasplugError
from nasplug.app.command_line.overrides import compose
from nasplug.contracts.types import Architecture

SPACE = "+space=nasbench201"


def test_coefficients_are_those_of_scipy_and_of_a_count_of_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, 60).astype(float), rng.integers(0, 9, 60) + rng.random(60)
    y += x
    one = correlation("it", x, y)
    assert one.spearman == pytest.approx(spearmanr(x, y).statistic)
    assert one.kendall == pytest.approx(kendalltau(x, y).statistic)
    pairs = [(x[i] - x[j]) * (y[i] - y[j]) for i in range(60) for j in range(i)]
    assert one.agreement == pytest.approx(np.mean([(np.sign(p) + 1) / 2 for p in pairs]))
    best = np.argsort(-y)[:6]
    assert one.top_spearman == pytest.approx(spearmanr(x[best], y[best]).statistic)
    assert one.low < one.spearman < one.high


def test_a_perfect_score_a_reversed_one_and_one_that_says_nothing():
    y = np.arange(50.0)
    best, worst, flat = (correlation("it", x, y) for x in (y**3, -y, 0 * y))
    assert (best.spearman, best.agreement, best.top_overlap) == pytest.approx((1, 1, 1))
    assert (worst.spearman, worst.agreement, worst.top_overlap) == pytest.approx((-1, 0, 0))
    assert np.isnan(flat.spearman) and flat.agreement == 0.5


def test_what_has_no_value_is_left_out():
    y = np.arange(20.0)
    x = np.where(y % 5 == 0, np.nan, y)
    assert correlation("it", x, y).n == 16
    assert correlation("it", x[:2], y[:2]).n == 1


def test_predictors_say_only_what_they_have_not_seen():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = X @ [1.0, -2.0, 0.5]
    y[7] = np.nan
    said = cross_validated("ridge", X, y, seed=0)
    assert np.isnan(said[7]) and correlation("it", said, y).spearman > 0.99
    noise = rng.normal(size=60)
    alone = cross_validated("gp", np.eye(60), noise, seed=0)  # rows tell nothing of each other
    assert not np.allclose(alone, noise, atol=0.1)


class Counting(Evaluator):
    """Two metrics, one of which fails for odd architectures; counts what it is asked."""

    metrics = {"good": Metric("", "maximize"), "odd": Metric("", "maximize")}

    def __init__(self, preferred_batch=1):
        self.preferred_batch, self.asked = preferred_batch, []

    def evaluate(self, trials, names):
        archs = [trial.arch for trial in trials]
        self.asked += [(arch, tuple(names)) for arch in archs]
        return [self._one(arch, names) for arch in archs]

    def _one(self, arch: Architecture, names):
        if "odd" in names and arch[0] % 2:
            return Failure("odd")
        return Measurement({name: float(arch[0]) for name in names})


@pytest.mark.parametrize("preferred_batch", [1, 4])
def test_one_failing_score_does_not_take_the_others_along(tmp_path, preferred_batch):
    sheet, evaluator = ScoreTable(tmp_path / "scores.csv"), Counting(preferred_batch)
    archs = [(i, 0) for i in range(6)]
    sheet.measure(evaluator, archs, ["good", "odd"])
    columns = sheet.columns(archs, ["good", "odd"])
    assert columns["good"].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.isnan(columns["odd"]).tolist() == [False, True] * 3
    assert sheet.errors[1, 0] == "odd" and sheet.errors[0, 0] == ""


def test_what_is_measured_is_not_measured_again(tmp_path):
    path, archs = tmp_path / "scores.csv", [(2 * i, 0) for i in range(4)]
    ScoreTable(path).measure(Counting(), archs[:2], ["good"])
    evaluator = Counting()
    again = ScoreTable(path)
    again.measure(evaluator, archs, ["good"])
    assert [arch for arch, _ in evaluator.asked] == archs[2:]
    again.measure(evaluator, archs, ["good", "odd"])
    assert evaluator.asked[2:] == [(arch, ("odd",)) for arch in archs]
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [json.loads(row["architecture"]) for row in rows] == [list(a) for a in archs]
    assert rows[1]["good"] == rows[1]["odd"] == "2.0"


@pytest.fixture
def cells(tmp_path):
    """A made-up table of every cell: the more convolutions, the better; the first is missing."""
    space = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    path = tmp_path / "table.csv"
    genes = np.indices((5,) * 6).reshape(6, -1).T[1:]
    worth = np.array([0, 1, 4, 9, 1])[genes].sum(axis=1)
    edges = ("01", "02", "12", "03", "13", "23")
    header = ",".join([*(f"edge{e}" for e in edges), "accuracy", "error_rate"])
    lines = [
        ",".join([*(space[g] for g in row), str(w), str(100 - w)])
        for row, w in zip(genes.tolist(), worth.tolist(), strict=True)
    ]
    path.write_text("\n".join([header, *lines]) + "\n")
    return [
        "mode=correlate",
        SPACE,
        "space.channels=2",
        "space.cells=1",
        "space.image_size=8",
        "space.isomorphic=false",
        "evaluator=table",
        f"evaluator.path={path}",
        "evaluator.minimize=[error_rate]",
        f"run={tmp_path / 'run'}",
        "correlate.n=12",
    ]


def sheet(folder):
    with (folder / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def table(folder):
    with (folder / "correlations.csv").open(newline="") as file:
        return {row["score"]: row for row in csv.DictReader(file)}


def test_scores_against_a_table(cells, tmp_path, capsys):
    folder = main(compose(*cells, "correlate.scores=[l2_norm,error_rate]"))
    found = table(folder)
    assert set(found) == {"l2_norm", "error_rate", "params", "flops"}
    assert float(found["params"]["spearman"]) > 0.7, "sizes count as scores"
    assert float(found["error_rate"]["spearman"]) == pytest.approx(1), "less is better"
    assert next(iter(found)) == "error_rate", "the best first"
    said = capsys.readouterr().out
    assert "accuracy of 12 architectures" in said and str(folder / "correlations.png") in said
    assert (folder / "correlations.png").read_bytes()[:4] == b"\x89PNG"

    before = sheet(folder)
    more = ("correlate.scores=[synflow,l2_norm]", "correlate.n=15", "correlate.predictors=[ridge]")
    main(compose(*cells, *more))
    assert "predictor ridge" in table(folder)
    after = sheet(folder)
    assert len(after) == 15 and all(row["synflow"] for row in after)
    assert [row["l2_norm"] for row in after[:12]] == [row["l2_norm"] for row in before]


def test_mistakes_are_answered_in_one_line(cells):
    for override, words in (
        ("correlate.n=2", "correlate.n must be int, at least 3, but got 2"),
        ("correlate.scores=[synflo]", "unknown metric 'synflo'; did you mean synflow"),
        ("correlate.target=acc", "unknown metric 'acc'"),
        ("correlate.scores=[snip]", "snip needs data"),
        ("correlate.predictors=[gpp]", "unknown predictor 'gpp'; did you mean gp"),
    ):
        with pytest.raises(NasplugError, match=words) as error:
            main(compose(*cells, override))
        assert "\n" not in str(error.value)


def test_a_folder_of_another_target_is_refused(cells):
    main(compose(*cells, "correlate.scores=[params]"))
    with pytest.raises(NasplugError, match="target was accuracy, now error_rate"):
        main(compose(*cells, "correlate.scores=[params]", "correlate.target=error_rate"))
