"""mode=repair: keep every whole record of a damaged ledger, so that the run can go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasplug.app.components import open_space
from nasplug.app.files.journal_repair import Repair, repair
from nasplug.contracts.errors import NasplugError
from nasplug.engine.journal import JOURNAL
from nasplug.engine.run_folder import lock_folder

SHOWN = 10
"""How many of the dropped lines are told one by one."""


def main(cfg: Any) -> Repair:
    """Repair the journal of `cfg.run`, and print what was kept, what was not, and where it is."""
    if not cfg.run:
        raise NasplugError("mode=repair needs the run's folder: run=runs/NAME")
    folder = Path(cfg.run)
    path, space = folder / JOURNAL, open_space(folder, cfg.allow)
    if not path.is_file():
        raise NasplugError(
            f"{folder} has no {JOURNAL}: its ledger is in another storage, or nowhere"
        )
    with lock_folder(folder):
        done = repair(path, space)
    if not done.dropped:
        print(f"{path}: {done.records} records, all whole; nothing was changed")
        return done
    for line in done.dropped[:SHOWN]:
        print(f"dropped line {line.number}: {line.why}")
    if len(done.dropped) > SHOWN:
        print(f"and {len(done.dropped) - SHOWN} more")
    print(f"{path}: {done.records} whole records kept, {len(done.dropped)} lines dropped")
    print(f"as it was: {done.original}\nwhat was dropped: {done.beside}")
    print("To go on, type the command of the run again; what was dropped is measured again")
    return done
