"""Writing journal.log: a record is a line that Optuna reads as a finished trial."""

from __future__ import annotations

import json
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, final

from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Measurement, Objective, Record
from nasplug.engine.journal import OWN_LINE, SET_STUDY, Contents, read
from nasplug.engine.records import RecordTable
from nasplug.toolkit.system.files import replacing

COMPLETE, FAIL = 1, 3
"""Optuna's numbers of how a trial ended."""


@final
class Journal:
    """Appends records to a journal, for the one process that holds its folder; see `add`.

    Opening it mends what a killed process left (Optuna's lock, the beginning of a last line), and
    makes the study, called `name`, if there is none yet.
    """

    def __init__(
        self, path: Path, space: SearchSpace, objectives: Sequence[Objective], name: str
    ) -> None:
        self._space, self._objectives = space, objectives
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        found = read(path, space) if path.exists() else Contents()
        self.study = found.study(name)
        self.table = found.records.get(self.study) or RecordTable(space)
        _begin(path, found, self.study, objectives, name)
        self._texts = [_texts(v.name, v.options) for v in space.variables]
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def add(self, record: Record) -> None:
        """Write one record down; when this returns, it survives whatever comes."""
        line = self._line(record).encode("ascii")
        start = os.fstat(self._file).st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except BaseException:  # a full disk, Ctrl-C: no half a line stays before the next
            os.ftruncate(self._file, start)
            raise
        self.table.add(record)

    def close(self) -> None:
        """No more records come."""
        os.close(self._file)

    def _line(self, record: Record) -> str:
        outcome, now = record.outcome, datetime.now(UTC)
        done = isinstance(outcome, Measurement)
        values = objective_values(record, self._objectives)
        one = values[0] if values and len(values) == 1 else None
        active = self._space.active([record.arch])[0]
        texts = [self._texts[i][gene] for i, gene in enumerate(record.arch) if active[i]]
        rest = (
            f'"study_id":{self.study},"worker_id":"nasplug","user_attrs":{_json(attributes(record))},'
            f'"state":{COMPLETE if done else FAIL},"value":{_json(one)},'
            f'"values":{_json(None if one is not None else values)},'
            f'"datetime_start":"{_time(now - timedelta(seconds=outcome.seconds))}",'
            f'"datetime_complete":"{_time(now)}","params":{{{",".join(p for p, _ in texts)}}},'
            f'"distributions":{{{",".join(d for _, d in texts)}}},"intermediate_values":{{}}}}'
        )
        return f"{OWN_LINE % zlib.crc32(rest.encode('ascii'))}{rest}\n"


def attributes(record: Record) -> dict[str, Any]:
    """What a trial keeps of a record, beside what Optuna's own plots need."""
    outcome = record.outcome
    kept: dict[str, Any] = {
        "number": record.number,
        "architecture": [int(gene) for gene in record.arch],
        "seconds": outcome.seconds,
    }
    if record.trial.fidelity != 1:
        kept["fidelity"] = record.trial.fidelity
    if record.trial.repeat:
        kept["repeat"] = record.trial.repeat
    if isinstance(outcome, Measurement):
        kept |= {"metrics": dict(outcome.values), "std": dict(outcome.std)}
        return kept if outcome.load is None else kept | {"load": outcome.load}
    return kept | {"error": outcome.error}


def objective_values(record: Record, objectives: Sequence[Objective]) -> list[float] | None:
    """The values of a trial, None where it failed."""
    if isinstance(record.outcome, Measurement):
        return [record.outcome.values[o.name] for o in objectives]
    return None


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _texts(name: str, options: Sequence[Any]) -> list[tuple[str, str]]:
    """A variable's option as a parameter and its distribution, in Optuna's shorter notation."""
    choices = [plain(option) for option in options]
    distribution = _json({"type": "categorical", "choices": choices})
    return [
        (f"{_json(name)}:{choices.index(choice)}", f"{_json(name)}:{_json(distribution)}")
        for choice in choices
    ]


def plain(option: Any) -> Any:
    """An option as Optuna stores categories: as it is if plain, else its text."""
    return option if isinstance(option, (str, int, float, bool, type(None))) else repr(option)


def _begin(
    path: Path, found: Contents, study: int, objectives: Sequence[Objective], name: str
) -> None:
    """Leave whole lines alone in the file, and among them those that make the study."""
    if path.exists() and path.stat().st_size > found.whole:
        os.truncate(path, found.whole)
    if study in found.studies and study in found.named:
        return
    made = "".join(
        _json(log | ({"study_id": study} if "study_id" in log else {})) + "\n"
        for log in _operations(objectives, name)
        if study not in found.studies or log["op_code"] == SET_STUDY
    ).encode()
    if found.created:
        with path.open("ab") as file:
            file.write(made)
        return
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(made)
        if found.whole:  # a repair had to drop the lines that made it
            with path.open("rb") as old:
                shutil.copyfileobj(old, file)


def _operations(objectives: Sequence[Objective], name: str) -> list[dict[str, Any]]:
    """What Optuna writes to make a study."""
    import optuna
    from optuna.storages.journal import BaseJournalBackend

    class Written(BaseJournalBackend):
        def __init__(self) -> None:
            self.logs: list[dict[str, Any]] = []

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            self.logs += json.loads(json.dumps(logs))

        def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
            return self.logs[log_number_from:]

    written = Written()
    with quiet():
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(written),
            study_name=name,
            directions=[o.direction for o in objectives],
        )
        study.set_metric_names([o.name for o in objectives])
    return written.logs


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna announces each study it opens, and what is experimental; the run does so itself."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
