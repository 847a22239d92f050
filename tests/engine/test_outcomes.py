"""Whatever an evaluator returns or raises: a plain float in the ledger, or a Failure that says why."""

import json
import os
import signal
from collections import UserDict
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from light import LightEvaluator, LightSpace, LightStrategy

from nasplug import NasplugError, search
from nasplug.contracts.types import Failure, Measurement, full_trials
from nasplug.toolkit.system.text import LONGEST_TEXT


class Odd(LightEvaluator):
    """Good values, but for every third architecture what `odd` makes."""

    odd = staticmethod(lambda values: Measurement(values))

    def evaluate(self, trials, names):
        archs = [trial.arch for trial in trials]
        good = super().evaluate(trials, names)
        return [
            type(self).odd(dict(outcome.values)) if sum(arch) % 3 == 0 else outcome
            for arch, outcome in zip(archs, good, strict=True)
        ]


def odd(make):
    """An evaluator that looks the same to a run's configuration, whatever `make` does."""
    kind = type("Odd", (Odd,), {"odd": staticmethod(make), "__module__": __name__})
    return kind(fails=0)


def find(evaluator, budget=24, **more):
    return search(
        LightSpace(), evaluator, LightStrategy(), ["good", "slow"], budget, **more
    )  # fmt: skip


def history(run):
    return [
        (r.number, r.arch, getattr(r.outcome, "values", None), getattr(r.outcome, "error", None))
        for r in run.records
    ]


class Raises:
    def __float__(self):
        raise RuntimeError("no number\ud800 in here")

    def __repr__(self):
        raise RuntimeError("nor a name")


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError


NUMBERS = {
    "numpy scalar": np.float32,
    "numpy integer": lambda value: np.int64(round(value)),
    "0-d array": np.array,
    "torch scalar": torch.tensor,
    "one element": lambda value: torch.tensor([value]),
    "half precision": lambda value: torch.tensor(value, dtype=torch.bfloat16),
    "Decimal": Decimal,
    "Fraction": Fraction,
    "long double": np.longdouble,
    "int": round,
}
NO_NUMBERS = {
    "None": (None, "good must be a finite number, but got None"),
    "text": ("3.5", "but got '3.5' (str)"),
    "long text": ("x" * 10**6, "xxx .. (str)"),
    "bool": (True, "but got True (bool)"),
    "numpy bool": (np.bool_(True), "must be a finite number"),
    "complex": (1 + 2j, "but got (1+2j) (complex)"),
    "numpy complex": (np.complex64(1), "must be a finite number"),
    "huge": (10**400, "OverflowError"),
    "huge decimal": (Decimal("1e999"), "must be a finite number"),
    "infinite": (float("inf"), "but got inf"),
    "nan": (torch.tensor(float("nan")), "but got tensor(nan) (Tensor)"),
    "two numbers": (np.zeros(2), "must be a finite number"),
    "raises": (Raises(), "but got what has no repr (Raises) (RuntimeError: no number in here)"),
    "a list": ([1.0], "but got [1.0] (list)"),
}
NO_OUTCOMES = {
    "None": (lambda values: None, "an outcome must be Measurement or Failure, but got None"),
    "a mapping": (lambda values: values, "must be Measurement or Failure, but got {'good'"),
    "a metric less": (
        lambda values: Measurement({"good": 1.0}),
        "slow must be measured, but the result has ['good']",
    ),
    "no mapping": (lambda values: Measurement([1, 2]), "values and std must be mappings"),
    "std": (
        lambda values: Measurement(values, 0.0, {"good": "wide"}),
        "std of good must be a finite number, but got 'wide' (str)",
    ),
    "error None": (lambda values: Failure(None), "None"),
    "error bytes": (lambda values: Failure(b"\xff"), "b'\\xff'"),
    "surrogates": (lambda values: Failure("a\ud800b\x1b[31m\x00c\nd"), "a b [31m c d"),
    "megabytes": (lambda values: Failure("é" * 10**7), "é" * LONGEST_TEXT + " .."),
    "speechless": (lambda values: Failure(Speechless()), "(its text raises RuntimeError)"),
}


@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS.keys())
def test_what_stands_for_a_number_is_a_float(make, tmp_path):
    evaluator = odd(lambda values: Measurement({n: make(v) for n, v in values.items()}))
    run = find(evaluator, run=tmp_path / "r")
    for record in run.records:
        (exact,) = LightEvaluator(fails=0).evaluate(full_trials([record.arch]), ["good", "slow"])
        assert {type(value) for value in record.outcome.values.values()} == {float}
        assert record.outcome.values == pytest.approx(exact.values, rel=0.25)
    assert history(find(evaluator, run=tmp_path / "r")) == history(run)  # as the ledger has it


@pytest.mark.parametrize(("value", "reason"), NO_NUMBERS.values(), ids=NO_NUMBERS.keys())
def test_what_is_no_number_is_a_failure(value, reason, tmp_path):
    check_failures(odd(lambda values: Measurement({**values, "good": value})), reason, tmp_path)


@pytest.mark.parametrize(("make", "reason"), NO_OUTCOMES.values(), ids=NO_OUTCOMES.keys())
def test_what_is_no_outcome_is_a_failure(make, reason, tmp_path):
    check_failures(odd(make), reason, tmp_path)


def check_failures(evaluator, reason, folder):
    """The search goes on, and so does the same command again, from what the files hold."""
    run = find(evaluator, 16, run=folder / "r")
    errors = {r.outcome.error for r in run.records if isinstance(r.outcome, Failure)}
    assert len(errors) >= 1 and all(reason in error for error in errors), errors
    assert max(map(len, errors)) < LONGEST_TEXT + 200
    assert all(error.isprintable() for error in errors)
    again = find(evaluator, 24, run=folder / "r")
    assert history(again)[:16] == history(run) and len(again.records) == 24
    (folder / "r" / "results.csv").read_text(encoding="utf-8")


def test_only_what_was_asked_for_reaches_the_ledger(tmp_path):
    evaluator = odd(
        lambda values: Measurement(
            UserDict(values, other=object()), object(), {"good": np.float32(0.5), "other": "x"}
        )
    )
    run = find(evaluator, run=tmp_path / "r")
    measured = [r.outcome for r in run.records if r.outcome.std]
    assert measured and all(o.std == {"good": 0.5} for o in measured)
    assert all(set(r.outcome.values) == {"good", "slow"} for r in run.records)
    for line in (tmp_path / "r" / "journal.log").read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize("wrong", [[], None, "text", 5, [Measurement({})] * 3])
def test_not_one_outcome_an_architecture(wrong):
    class Uncounted(LightEvaluator):
        preferred_batch = 2

        def evaluate(self, trials, names):
            archs = [trial.arch for trial in trials]
            bad = any(sum(arch) % 3 == 0 for arch in archs)
            return wrong if bad else super().evaluate(trials, names)

    run = find(Uncounted(fails=0))
    for record in run.records:
        failed = isinstance(record.outcome, Failure)
        assert failed == (sum(record.arch) % 3 == 0)
        assert not failed or "TypeError: evaluate must return" in record.outcome.error


ENDS = {
    "SystemExit": SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "GeneratorExit": GeneratorExit("\ud800" * 10**6),
    "BaseException": BaseException("x\x00y"),
    "MemoryError": MemoryError(),
    "RecursionError": RecursionError("deep"),
    "Speechless": Speechless(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_what_code_raises_to_end_its_process_fails_its_architecture_alone(end):
    class Ending(LightEvaluator):
        preferred_batch = 3

        def evaluate(self, trials, names):
            archs = [trial.arch for trial in trials]
            if any(sum(arch) % 3 == 0 for arch in archs):
                raise end
            return super().evaluate(trials, names)

    run = find(Ending(fails=0))
    for record in run.records:
        if sum(record.arch) % 3:
            assert isinstance(record.outcome, Measurement)
        else:
            error = record.outcome.error
            assert error.startswith(f"{type(end).__name__}: ") and "test_outcomes.py:" in error
            assert error.isprintable() and len(error) < LONGEST_TEXT + 100


@pytest.mark.parametrize("swallows", [False, True])
def test_a_real_ctrl_c_ends_the_search_also_where_the_evaluator_swallows_it(swallows, tmp_path):
    class Interrupted(LightEvaluator):
        def evaluate(self, trials, names):
            archs = [trial.arch for trial in trials]
            if len(done) == 5:
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                    for _ in range(10**6):
                        pass
                except BaseException:
                    if not swallows:
                        raise
            done.extend(archs)
            return super().evaluate(trials, names)

    done = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        find(Interrupted(fails=0), run=tmp_path / "r")
    assert signal.getsignal(signal.SIGINT) is before
    assert len((tmp_path / "r" / "results.csv").read_text().splitlines()) == 1 + 5


def test_a_mistake_of_the_users_still_ends_the_search():
    class Mistaken(LightEvaluator):
        def evaluate(self, trials, names):
            raise NasplugError("weights must exist")

    with pytest.raises(NasplugError, match="weights must exist"):
        find(Mistaken())
