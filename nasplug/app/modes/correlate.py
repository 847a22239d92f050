"""mode=correlate: how well cheap scores tell which architectures are good."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug.app.components import evaluator_nodes, measuring
from nasplug.app.stopping import orderly
from nasplug.app.terminal import table
from nasplug.contracts.errors import NasplugError, unknown
from nasplug.contracts.types import Architecture, FloatArray, Measurement
from nasplug.engine.run_folder import DATA, fingerprint, lock_folder, save_or_verify_config
from nasplug.plugins.building import make
from nasplug.plugins.choices import choices
from nasplug.toolkit.progress import progress

if TYPE_CHECKING:
    from nasplug.engine.evaluator_chain import EvaluatorChain

SCORES, CORRELATIONS, PICTURE = "scores.csv", "correlations.csv", "correlations.png"
BESIDE = ("params", "flops")
"""Sizes: a score that ranks no better than these tells nothing new."""
SHOWN = ("score", "n", "Spearman", "95 %", "Kendall", "pairs", "top 10 %", "shared")
FOLDS = 5
"""In which predictors learn from all but one, and predict that."""
REWRITE = 2.0
"""Seconds between two rewrites of the scores."""


# ---- how well one score does ---------------------------------------------------------------------


@dataclass(frozen=True)
class Correlation:
    """How a score of n architectures agrees with their target, both the higher the better.

    `low` and `high` bound Spearman's coefficient with 95 % confidence (Bonett and Wright 2000).
    `agreement` is the share of pairs with different targets that the score orders rightly, where
    equal scores count half. Among the tenth with the best targets, `top_spearman` is their
    coefficient, and `top_overlap` the share that is also among the tenth with the best scores.
    """

    score: str
    n: int
    spearman: float
    low: float
    high: float
    kendall: float
    agreement: float
    top_spearman: float
    top_overlap: float


def correlation(name: str, scores: FloatArray, target: FloatArray) -> Correlation:
    """Of `scores` with `target`, both of shape (n,); rows with NaN are left out. Coefficients are
    NaN where one of the two is constant."""
    from scipy.stats import kendalltau

    both = np.isfinite(scores) & np.isfinite(target)
    x, y = scores[both], target[both]
    if len(x) < 3:
        nothing = float("nan")
        return Correlation(name, len(x), *[nothing] * (len(fields(Correlation)) - 2))
    rho = _spearman(x, y)
    width = 1.96 * np.sqrt((1 + rho**2 / 2) / max(len(x) - 3, 1))
    low, high = np.tanh(np.arctanh(np.clip(rho, -1 + 1e-9, 1 - 1e-9)) + width * np.array([-1, 1]))
    top = max(round(len(x) / 10), 1)
    best = np.argsort(-y, kind="stable")[:top]
    chosen = np.argsort(-x, kind="stable")[:top]
    return Correlation(
        name,
        len(x),
        rho,
        float(low),
        float(high),
        float(kendalltau(x, y).statistic) if np.ptp(x) and np.ptp(y) else float("nan"),
        _agreement(x, y),
        _spearman(x[best], y[best]),
        len(np.intersect1d(best, chosen)) / top,
    )


def _spearman(x: FloatArray, y: FloatArray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic) if np.ptp(x) and np.ptp(y) else float("nan")


def _agreement(x: FloatArray, y: FloatArray) -> float:
    right = pairs = 0.0
    for i in range(1, len(x)):
        order = np.sign(y[i] - y[:i])
        right += float((1 + order * np.sign(x[i] - x[:i]))[order != 0].sum()) / 2
        pairs += np.count_nonzero(order)
    return right / pairs if pairs else float("nan")


def cross_validated(name: str, features: FloatArray, target: FloatArray, seed: int) -> FloatArray:
    """What the choice `name` of the group `predictor` says of each row of `features`, (n, f), having
    learnt `target`, (n,), from the other folds; NaN where the target is."""
    found = np.full(len(target), np.nan)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(np.isfinite(target)))
    for held in np.array_split(rows, min(FOLDS, len(rows))):
        rest = np.setdiff1d(rows, held)
        predictor = make("predictor", name)
        predictor.fit(features[rest], target[rest])
        found[held] = predictor.predict(features[held])
    return found


# ---- the scores, measured and kept ---------------------------------------------------------------


class Sheet:
    """What is measured of each architecture, in scores.csv: `architecture` (JSON list of option
    indices), a column a metric, empty where there is no value, and `error`, why not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[Architecture, dict[str, float]] = {}
        self.errors: dict[Architecture, str] = {}
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    arch = tuple(json.loads(row.pop("architecture")))
                    self.errors[arch] = row.pop("error")
                    self.values[arch] = {name: float(x) for name, x in row.items() if x}

    def measure(
        self, chain: EvaluatorChain, archs: Sequence[Architecture], names: Sequence[str]
    ) -> None:
        """Measure what is not there yet; what failed before is tried again."""
        new = [a for a in archs if not set(names) <= set(self.values.get(a, {}))]
        written = time.monotonic()
        with progress(f"measuring {', '.join(names)}", max(len(new), 1)) as bar:
            for start in range(0, len(new), chain.chunk):
                some = new[start : start + chain.chunk]
                self._measure(chain, some, names)
                bar.advance(len(some))
                if time.monotonic() - written > REWRITE:
                    self.write()
                    written = time.monotonic()
        self.write()

    def _measure(
        self, chain: EvaluatorChain, archs: Sequence[Architecture], names: Sequence[str]
    ) -> None:
        """All that is missing at once; where that fails, one metric after the other."""
        missing = [n for n in names if any(n not in self.values.get(a, {}) for a in archs)]
        for arch, outcome in zip(archs, chain.evaluate(archs, missing), strict=True):
            row, reasons = self.values.setdefault(arch, {}), []
            singly = [outcome]
            if not isinstance(outcome, Measurement):
                singly = [chain.evaluate([arch], [name])[0] for name in missing]
            for one in singly:
                if isinstance(one, Measurement):
                    row.update(one.values)
                else:
                    reasons.append(one.error)
            self.errors[arch] = "; ".join(reasons)

    def columns(self, archs: Sequence[Architecture], names: Sequence[str]) -> dict[str, FloatArray]:
        """The values of `archs`, name to shape (n,); NaN where there is none."""
        return {
            name: np.array([self.values[a].get(name, np.nan) for a in archs], float)
            for name in names
        }

    def write(self) -> None:
        """The whole file anew; a reader sees the old or the new."""
        names = list(dict.fromkeys(name for row in self.values.values() for name in row))
        rows: list[Mapping[str, Any]] = [
            {"architecture": json.dumps(arch), **row, "error": self.errors[arch]}
            for arch, row in self.values.items()
        ]
        _write(self.path, ["architecture", *names, "error"], rows)


def _write(path: Path, header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, path)


# ---- the mode ------------------------------------------------------------------------------------


def main(cfg: Any) -> Path:
    """Measure `cfg.correlate.scores` and their target of `n` random architectures, and hold them
    against each other; returns the folder of the correlations, the scores and the picture."""
    n = cfg.correlate.n
    if not isinstance(n, int) or n < 3:
        raise NasplugError(f"correlate.n must be a whole number of at least 3, but got {n!r}")
    parts = measuring(cfg)
    known = parts.evaluator.metrics
    target, names = _names(cfg.correlate, list(known))
    predictors = list(cfg.correlate.predictors)
    for predictor in predictors:
        if predictor not in choices("predictor"):
            raise unknown("predictor", predictor, choices("predictor"))
    chain = parts.evaluator.restrict([target, *names])
    config = _config(cfg, target, with_task=parts.task is not None)
    space = cfg.choices.get("space") or type(parts.space).__name__
    name = f"correlate-{space}-seed{cfg.seed}-{fingerprint(config)}"
    folder = Path(cfg.run or Path("runs") / name)
    archs = parts.space.valid(parts.space.sample(n, np.random.default_rng(cfg.seed)))
    task = parts.task if not {target, *names} <= set(chain.computed) else None
    data = {DATA: task.data_fingerprint()} if task else {}
    with lock_folder(folder):
        save_or_verify_config(folder, {**config, **data})
        sheet = Sheet(folder / SCORES)
        with orderly(
            f"stopped. What was measured is safe in {folder}; to go on, run the same command again"
        ):
            try:
                chain.prepare()
                sheet.measure(chain, archs, [target, *names])
            finally:
                sheet.write()
        columns = sheet.columns(archs, [target, *names])
        proxies = choices("proxy")
        signs = {n: 1 if n in proxies or known[n].direction == "maximize" else -1 for n in columns}
        features = parts.space.features(archs)
        for name in predictors:
            label = f"predictor {name}"
            columns[label] = cross_validated(name, features, columns[target], cfg.seed)
            signs[label] = signs[target]
        goal = signs[target] * columns[target]
        scores = [name for name in columns if name != target]
        found = [correlation(name, signs[name] * columns[name], goal) for name in scores]
        found.sort(key=lambda c: -np.nan_to_num(c.spearman, nan=-2))
        header = [field.name for field in fields(Correlation)]
        _write(folder / CORRELATIONS, header, map(asdict, found))
        _draw(columns, found, target, folder / PICTURE)
    title = f"{target} of {np.isfinite(goal).sum()} architectures, and how well scores tell it"
    table(title, SHOWN, [_row(one) for one in found])
    print("\n".join(str(folder / file) for file in (CORRELATIONS, SCORES, PICTURE)))
    return folder


def _row(one: Correlation) -> list[str]:
    """As it is printed: pairs ordered rightly, and within the best tenth Spearman and overlap."""
    numbers = (one.kendall, one.agreement, one.top_spearman, one.top_overlap)
    interval = f"{one.low:.2f} to {one.high:.2f}"
    return [one.score, str(one.n), f"{one.spearman:.3f}", interval, *(f"{x:.3f}" for x in numbers)]


def _names(settings: Any, known: Sequence[str]) -> tuple[str, list[str]]:
    """The target, and the scores: those asked for, and the sizes beside."""
    target = settings.target or known[0]
    asked = [settings.scores] if isinstance(settings.scores, str) else list(settings.scores or ())
    sizes = [name for name in BESIDE if name in known]
    return target, [name for name in dict.fromkeys((*asked, *sizes)) if name != target]


def _config(cfg: Any, target: str, with_task: bool) -> dict[str, Any]:
    """What a folder holds scores of; other scores and more architectures may be added to it."""
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    return {
        "choices": plain["choices"],
        "space": plain["space"],
        "task": plain["task"] if with_task else None,
        "evaluators": evaluator_nodes(plain),
        "target": target,
        "seed": plain["seed"],
    }


def _draw(
    columns: Mapping[str, FloatArray], found: Sequence[Correlation], target: str, path: Path
) -> None:
    """The target against each score, the best-correlated first."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide = min(len(found), 4)
    high = -(-len(found) // wide)
    figure = Figure(figsize=(3.2 * wide, 2.8 * high), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(high, wide, squeeze=False, sharey=True).ravel()
    for axes, one in zip(panels, found, strict=False):
        x = columns[one.score]
        axes.scatter(x, columns[target], s=9, alpha=0.5, linewidths=0)
        seen = x[np.isfinite(x)]
        if len(seen) and seen.min() > 0 and seen.max() / seen.min() > 100:
            axes.set_xscale("log")
        axes.set_title(f"{one.score}: Spearman {one.spearman:.2f}", fontsize=10)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    figure.supylabel(target, fontsize=10)
    figure.savefig(path, dpi=150)
