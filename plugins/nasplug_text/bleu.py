"""BLEU as sacrebleu counts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def corpus_bleu(translations: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
    """BLEU of whole sentences (Papineni et al. 2002) in percent, and the signature that says how it
    was counted (Post 2018): `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:..`."""
    metric = _metric()
    score = metric.corpus_score(list(translations), [list(references)])
    return float(score.score), str(metric.get_signature())


def signature() -> str:
    """How `corpus_bleu` counts."""
    metric = _metric()
    metric.corpus_score(["a"], [["a"]])  # it knows the number of references only afterwards
    return str(metric.get_signature())


def _metric() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU()
