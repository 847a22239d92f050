"""The record of a run: an Optuna study; cache, resume and results in one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import final

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Measurement, Objective, Record, Trial
from nasplug.engine.journal import JOURNAL, keep, read
from nasplug.engine.journal_writer import Journal, attributes, objective_values, plain, quiet
from nasplug.engine.records import RecordTable


@final
class Ledger:
    """One Optuna trial a measurement, written when it is made.

    `storage` is any Optuna storage address, "memory", or None for a journal file in `folder`. The
    caller holds the folder: nobody else writes to it. Trials bear the design variables as
    parameters, the objectives as values, and as user attributes `number`, `architecture`,
    `metrics`, `std`, `seconds` and `error`.

    A journal holds the run's study alone, and whatever that is called, it is the run's: the folder
    may be renamed, copied, or reached by another path. In a storage that others share, the study
    is the one called `study`.
    """

    def __init__(
        self,
        folder: Path | None,
        space: SearchSpace,
        objectives: Sequence[Objective],
        storage: str | None = None,
        study: str | None = None,
    ) -> None:
        self._store: Journal | _Study | None = None
        self.table = RecordTable(space)
        """What is written, in columns; `Run` reads it."""

        name = study or (folder.resolve().name if folder else None)
        if storage is not None and storage != "memory":
            self._store = _Study(storage, name, space, objectives)
        elif storage is None and folder is not None:
            self._store = Journal(folder / JOURNAL, space, objectives, name or "run")
        if self._store is not None:
            self.table = self._store.table

    def __contains__(self, trial: Trial) -> bool:
        return trial in self.table

    def __getitem__(self, trial: Trial) -> Record:
        return self.table.record(self.table.row(trial))

    def __len__(self) -> int:
        return len(self.table)

    def records(self) -> list[Record]:
        """Everything measured, in the order asked."""
        return [self.table.record(row) for row in self.table.order().tolist()]

    def failures(self) -> list[str]:
        """Why architectures failed, in order of arrival: a reason for each that did."""
        return list(self.table.errors.values())

    def add(self, record: Record) -> None:
        """Write one outcome down; when this returns, it survives whatever comes."""
        if self._store is None:
            self.table.add(record)
        else:
            self._store.add(record)

    def close(self) -> None:
        """Nothing more is added."""
        if self._store is not None:
            self._store.close()


def read_ledger(folder: Path, space: SearchSpace) -> RecordTable | None:
    """The records in a run's folder, unlocked and unchanged, while a search may be at work in it;
    None if its ledger is elsewhere, or nothing has been written yet."""
    path = folder / JOURNAL
    if not path.is_file():
        return None
    found = read(path, space)
    return found.records.get(found.study(folder.resolve().name))


@final
class _Study:
    """A study in a storage of Optuna's own."""

    def __init__(
        self, storage: str, name: str | None, space: SearchSpace, objectives: Sequence[Objective]
    ) -> None:
        import optuna

        self._space, self._objectives, self.table = space, objectives, RecordTable(space)
        kind = optuna.distributions.CategoricalDistribution
        self._distributions = {v.name: kind([plain(o) for o in v.options]) for v in space.variables}
        with quiet(), _clear(storage):
            self._study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=[o.direction for o in objectives],
                load_if_exists=True,
            )
            self._study.set_metric_names([o.name for o in objectives])
            trials = self._study.get_trials(deepcopy=False)
        for trial in trials:
            if "architecture" in trial.user_attrs:  # else it is somebody else's
                keep(self.table, trial.user_attrs)

    def add(self, record: Record) -> None:
        """One more trial."""
        from optuna.trial import TrialState, create_trial

        options = self._space.options(record.arch)
        done = isinstance(record.outcome, Measurement)
        self._study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if done else TrialState.FAIL,
                params={name: plain(value) for name, value in options.items()},
                distributions={name: self._distributions[name] for name in options},
                values=objective_values(record, self._objectives),
                user_attrs=attributes(record),
            )
        )
        self.table.add(record)

    def close(self) -> None:
        """The storage closes with the process."""


@contextmanager
def _clear(storage: str) -> Iterator[None]:
    """A database driver's own words, in one line."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NasplugError(f"storage {storage} cannot be opened: {text}") from error
