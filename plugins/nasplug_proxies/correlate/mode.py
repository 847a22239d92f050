"""The mode itself: measures, compares, and writes what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from nasplug import Range, choices, unknown
from nasplug.modes import (
    DATA,
    build_evaluation,
    evaluator_settings,
    fingerprint,
    lock_folder,
    on_interrupt,
    print_table,
    read_settings,
    save_or_verify_config,
)
from nasplug_proxies.correlate.picture import draw
from nasplug_proxies.correlate.score_table import ScoreTable, write_rows
from nasplug_proxies.correlate.statistics import Correlation, correlation, cross_validated

SCORES, CORRELATIONS, PICTURE = "scores.csv", "correlations.csv", "correlations.png"
BESIDE = ("params", "flops")
"""Sizes: a score that ranks no better than these tells nothing new."""
SHOWN = ("score", "n", "Spearman", "95 %", "Kendall", "pairs", "top 10 %", "shared")


@dataclass(frozen=True)
class Settings:
    """What conf/mode/correlate.yaml explains."""

    scores: list[str] | str
    predictors: list[str]
    target: str | None
    n: Annotated[int, Range(ge=3)]


def main(cfg: Any) -> Path:
    """Measure `cfg.correlate.scores` and their target of `n` random architectures, and hold them
    against each other; returns the folder of the correlations, the scores and the picture."""
    settings = read_settings(cfg, "correlate", Settings)
    parts = build_evaluation(cfg)
    known = parts.evaluator.metrics
    target, names = _names(settings, list(known))
    for predictor in settings.predictors:
        if predictor not in choices("predictor"):
            raise unknown("predictor", predictor, choices("predictor"))
    chain = parts.evaluator.restrict([target, *names])
    config = _config(cfg, target, with_task=parts.task is not None)
    space = cfg.choices.get("space") or type(parts.space).__name__
    name = f"correlate-{space}-seed{cfg.seed}-{fingerprint(config)}"
    folder = Path(cfg.run or Path("runs") / name)
    archs = parts.space.valid(parts.space.sample(settings.n, np.random.default_rng(cfg.seed)))
    task = parts.task if not {target, *names} <= set(chain.closed_form) else None
    data = {DATA: task.data_fingerprint()} if task else {}
    with lock_folder(folder):
        save_or_verify_config(folder, {**config, **data})
        table = ScoreTable(folder / SCORES)
        with on_interrupt(
            f"stopped. What was measured is safe in {folder}; to go on, run the same command again"
        ):
            try:
                chain.prepare()
                table.measure(chain, archs, [target, *names])
            finally:
                table.write()
        columns = table.columns(archs, [target, *names])
        proxies = choices("proxy")
        signs = {n: 1 if n in proxies or known[n].direction == "maximize" else -1 for n in columns}
        features = parts.space.features(archs)
        for name in settings.predictors:
            label = f"predictor {name}"
            columns[label] = cross_validated(name, features, columns[target], cfg.seed)
            signs[label] = signs[target]
        goal = signs[target] * columns[target]
        scores = [name for name in columns if name != target]
        found = [correlation(name, signs[name] * columns[name], goal) for name in scores]
        found.sort(key=lambda c: -np.nan_to_num(c.spearman, nan=-2))
        header = [field.name for field in fields(Correlation)]
        write_rows(folder / CORRELATIONS, header, map(asdict, found))
        draw(columns, found, target, folder / PICTURE)
    title = f"{target} of {np.isfinite(goal).sum()} architectures, and how well scores tell it"
    print_table(title, SHOWN, [_row(one) for one in found])
    print("\n".join(str(folder / file) for file in (CORRELATIONS, SCORES, PICTURE)))
    return folder


def _row(one: Correlation) -> list[str]:
    """As it is printed: pairs ordered rightly, and within the best tenth Spearman and overlap."""
    numbers = (one.kendall, one.agreement, one.top_spearman, one.top_overlap)
    interval = f"{one.low:.2f} to {one.high:.2f}"
    return [one.score, str(one.n), f"{one.spearman:.3f}", interval, *(f"{x:.3f}" for x in numbers)]


def _names(settings: Settings, known: Sequence[str]) -> tuple[str, list[str]]:
    """The target, and the scores: those asked for, and the sizes beside."""
    target = settings.target or known[0]
    asked = [settings.scores] if isinstance(settings.scores, str) else settings.scores
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
        "evaluators": evaluator_settings(plain),
        "target": target,
        "seed": plain["seed"],
    }
