"""The record of a run: an Optuna study; cache, resume and results in one."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Architecture, Failure, Measurement, Objective, Outcome, Record

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

JOURNAL = "journal.log"


class Ledger:
    """One Optuna trial an architecture, written when it is measured.

    `storage` is any Optuna storage address, "memory", or None for a journal file in `folder`. The
    caller holds the folder: nobody else writes to it. Trials bear the design variables as
    parameters, the objectives as values, and as user attributes `number`, `architecture`,
    `metrics`, `spread`, `seconds` and `error`.
    """

    def __init__(
        self,
        folder: Path | None,
        space: SearchSpace,
        objectives: Sequence[Objective],
        storage: str | None = None,
    ) -> None:
        import optuna

        self._space, self._objectives = space, tuple(objectives)
        kind = optuna.distributions.CategoricalDistribution
        self._distributions = {
            v.name: kind([_optuna(option) for option in v.options]) for v in space.variables
        }
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            try:
                self._study = optuna.create_study(
                    storage=_open(folder, storage),
                    study_name=folder.name if folder else None,
                    directions=[o.direction for o in objectives],
                    load_if_exists=True,
                )
                self._study.set_metric_names([o.name for o in objectives])
            except OSError:
                raise
            except Exception as error:  # a database driver's own words
                text = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise NasplugError(
                    f"storage {storage or folder} cannot be opened: {text}"
                ) from error
        self._records = {r.arch: r for r in map(_read, self._study.get_trials(deepcopy=False))}

    def __contains__(self, arch: Architecture) -> bool:
        return arch in self._records

    def __getitem__(self, arch: Architecture) -> Record:
        return self._records[arch]

    def __len__(self) -> int:
        return len(self._records)

    def records(self) -> list[Record]:
        """Everything measured, in the order asked."""
        return sorted(self._records.values(), key=lambda record: record.number)

    def add(self, record: Record) -> None:
        """Write one outcome down; when this returns, it survives whatever comes."""
        from optuna.trial import TrialState, create_trial

        outcome, options = record.outcome, self._space.options(record.arch)
        attributes: dict[str, Any] = {
            "number": record.number,
            "architecture": list(record.arch),
            "seconds": outcome.seconds,
        }
        if isinstance(outcome, Measurement):
            attributes |= {"metrics": dict(outcome.values), "spread": dict(outcome.spread)}
            attributes |= {} if outcome.load is None else {"load": outcome.load}
        else:
            attributes["error"] = outcome.error
        done = isinstance(outcome, Measurement)
        self._study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if done else TrialState.FAIL,
                params={name: _optuna(value) for name, value in options.items()},
                distributions={name: self._distributions[name] for name in options},
                values=[outcome.values[o.name] for o in self._objectives]
                if isinstance(outcome, Measurement)
                else None,
                user_attrs=attributes,
            )
        )
        self._records[record.arch] = record


def _optuna(option: Any) -> Any:
    """An option as Optuna stores categories: as it is if plain, else its text."""
    return option if isinstance(option, (str, int, float, bool, type(None))) else repr(option)


def _read(trial: Any) -> Record:
    kept = trial.user_attrs
    outcome: Outcome
    if "error" in kept:
        outcome = Failure(kept["error"], kept["seconds"])
    else:
        outcome = Measurement(kept["metrics"], kept["seconds"], kept["spread"], kept.get("load"))
    return Record(kept["number"], tuple(kept["architecture"]), outcome)


def _open(folder: Path | None, storage: str | None) -> BaseStorage | str | None:
    if storage == "memory" or (storage is None and folder is None):
        return None
    if storage is not None:
        return storage
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    assert folder is not None
    path = folder / JOURNAL
    _mend(path)
    return JournalStorage(JournalFileBackend(str(path)))


def _mend(path: Path) -> None:
    """Remove what a killed process left: Optuna's lock, and the half of a last line."""
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


class _quiet:
    """Optuna announces each study it opens; the run does so itself."""

    def __enter__(self) -> None:
        self.logger = logging.getLogger("optuna")
        self.level = self.logger.level
        self.logger.setLevel(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        self.logger.setLevel(self.level)
