"""Reading journal.log, a run's ledger as a file: an Optuna journal, read without Optuna.

A line is one operation in JSON, as `optuna.storages.JournalStorage` writes and reads them; a record
is one line that creates a finished trial. Optuna takes every line apart and keeps every trial as an
object, about 13 KiB for 45 variables. A line of `journal_writer` holds, before what Optuna needs of
it, all that the ledger needs, and a checksum: the rest is not taken apart here.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Trial
from nasplug.engine.records import NOTHING, RecordTable

JOURNAL = "journal.log"
CREATE_STUDY, DELETE_STUDY, SET_STUDY, CREATE_TRIAL = 0, 1, 3, 4
"""Optuna's numbers of the operations that matter here."""
METRIC_NAMES = "study:metric_names"
"""Where Optuna keeps the objectives' names."""

OWN_LINE = '{"op_code":4,"system_attrs":{"nasplug:crc32":"%08x"},'
"""How a record's line begins: the checksum is of all that follows."""

_MARK = b'"nasplug:crc32"'
_OWN = re.compile(
    rb'\{"op_code":4,"system_attrs":\{"nasplug:crc32":"([0-9a-f]{8})"\},'
    rb'"study_id":(\d+),"worker_id":"nasplug","user_attrs":'
)
_decode = json.JSONDecoder().raw_decode


@dataclass
class Contents:
    """What a journal holds."""

    studies: dict[int, str] = field(default_factory=dict)
    """Number to name."""

    named: set[int] = field(default_factory=set)
    """The studies whose objectives have names."""

    created: int = 0
    """How many studies there have ever been."""

    records: dict[int, RecordTable] = field(default_factory=dict)
    """Number of the study to its records."""

    whole: int = 0
    """Bytes of whole lines; what follows is the beginning of one."""

    def study(self, name: str) -> int:
        """The run's study: the only one; of several, the one called `name`, else the first."""
        same = [number for number, known in self.studies.items() if known == name]
        return next(iter((*same, *self.studies, *self.records)), self.created)


def read(path: Path, space: SearchSpace) -> Contents:
    """Read a journal of `space`, also while it is written to; a line that is only begun is left out.

    NasplugError where another line is not whole: which, and what to type.
    """
    found = Contents()
    for number, line, problem in lines(path, space, found):
        if problem:
            raise NasplugError(
                f"line {number} of {path} must be a whole record, but {problem}. To keep every whole "
                f"record, and the file as it is beside, type: python -m nasplug mode=repair "
                f"run={path.parent}"
            )
        found.whole += len(line)
    return found


def lines(path: Path, space: SearchSpace, found: Contents) -> Iterator[tuple[int, bytes, str]]:
    """Every line that ends, the whole ones taken into `found`: its number from 1, itself, and in words
    why it is not whole, "" if it is."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            operation, problem = _parse(line), ""
            try:
                if isinstance(operation, str):
                    problem = operation
                else:
                    _apply(operation, found, space)
            except (ValueError, TypeError, OverflowError) as error:
                problem = str(error)
            except KeyError as error:
                problem = f"it has no {error}"
            yield number, line, problem


def _parse(line: bytes) -> dict[str, Any] | str:
    """What a line says, or in words why it says nothing; of a record that nasplug wrote, only what
    the ledger needs."""
    if own := _OWN.match(line):
        if zlib.crc32(memoryview(line)[own.end(1) + 3 : -1]) != int(own[1], 16):
            return "its checksum says that it was changed"
        attributes, _ = _decode(line.decode(), own.end())
        return {"op_code": CREATE_TRIAL, "study_id": int(own[2]), "user_attrs": attributes}
    if _MARK in line[:100]:
        return "its beginning was changed"
    if b"\0" in line:
        return "it has NUL bytes"
    try:
        operation = json.loads(line)
    except (ValueError, RecursionError):
        return "it is not JSON"
    if not isinstance(operation, dict) or type(operation.get("op_code")) is not int:
        return "it is not an operation of a journal"
    return operation


def _apply(operation: dict[str, Any], found: Contents, space: SearchSpace) -> None:
    """As Optuna does; what others than nasplug noted in the study is left to them."""
    code = operation["op_code"]
    if code == CREATE_STUDY and operation["study_name"] not in found.studies.values():
        found.studies[found.created] = operation["study_name"]
        found.created += 1
    elif code == DELETE_STUDY:
        found.studies.pop(operation["study_id"], None)
        found.records.pop(operation["study_id"], None)
    elif code == SET_STUDY and METRIC_NAMES in operation["system_attr"]:
        found.named.add(operation["study_id"])
    elif code == CREATE_TRIAL and "architecture" in (kept := operation.get("user_attrs", NOTHING)):
        number = operation["study_id"]
        if number not in found.records:
            found.records[number] = RecordTable(space)
        keep(found.records[number], kept)


def keep(table: RecordTable, attributes: Mapping[str, Any]) -> None:
    """Add the record that a trial's user attributes are."""
    values = attributes.get("metrics", NOTHING)
    std = attributes.get("std") or attributes.get("spread", NOTHING)  # as it was called in 0.1
    error = None if "metrics" in attributes else str(attributes["error"])
    number, arch = attributes["number"], attributes["architecture"]
    if not (isinstance(values, Mapping) and isinstance(std, Mapping) and isinstance(arch, list)):
        raise ValueError("it is not a record of nasplug's")
    load = attributes.get("load")
    trial = Trial(tuple(arch), attributes.get("fidelity", 1.0), attributes.get("repeat", 0))
    table.append(number, trial, attributes["seconds"], values, std, error, load)
