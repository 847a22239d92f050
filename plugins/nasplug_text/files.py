"""Text files, plain or gzipped, line by line; what is wrong with one names it and the line."""

from __future__ import annotations

import csv
import gzip
import io
import logging
import zlib
from pathlib import Path

from nasplug import NasplugError

log = logging.getLogger(__name__)

TABLES = {".csv": ",", ".tsv": "\t"}
"""How a table's file may end, with its separator; .gz may follow."""


def read_lines(file: Path) -> list[str]:
    """The lines of a UTF-8 file, their white space single and none at the ends."""
    return [tidy(line) for line in raw_lines(file)]


def raw_lines(file: Path, latin1: bool = False) -> list[str]:
    """The lines of a UTF-8 file as they are; with `latin1`, of one that is read so where it is not
    UTF-8."""
    lines = _text(file, latin1).split(
        "\n"
    )  # not splitlines: other signs that it heeds occur in sentences
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def read_table(file: Path, latin1: bool = False) -> tuple[list[str], list[list[str]]]:
    """The header of a table, and its rows, each with a cell for every column; `latin1` as before."""
    text = io.StringIO(_text(file, latin1), newline="")
    before = csv.field_size_limit(2**24)
    try:
        header, *rows = csv.reader(text, delimiter=TABLES[suffix(file)], strict=True)
    except (csv.Error, ValueError) as error:
        reason = str(error) if isinstance(error, csv.Error) else "it is empty"
        raise NasplugError(f"{file} must be a table with a header line, but: {reason}") from None
    finally:
        csv.field_size_limit(before)
    rows = [row for row in rows if row]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise NasplugError(
                f"every row of {file} must have {len(header)} cells, as the header has, but row "
                f"{number} has {len(row)}; a cell with a separator in it is quoted"
            )
    return [name.strip() for name in header], rows


def suffix(file: Path) -> str:
    """Of the file's name, in lower case, without .gz."""
    return Path(file.name.lower().removesuffix(".gz")).suffix


def tidy(line: str) -> str:
    """`line` with single spaces between words alone."""
    return " ".join(line.split())


def _text(file: Path, latin1: bool = False) -> str:
    try:
        content = file.read_bytes()
        if file.name.lower().endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NasplugError(f"{file} must be readable, but: {reason}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if latin1 and b"\0" not in content:  # zeros are of UTF-16, or of no text at all
            log.warning("%s is not UTF-8 and is read as Latin-1", file.name)
            return content.decode("latin-1")
        line = content.count(b"\n", 0, error.start) + 1
        raise NasplugError(
            f"{file} must be text in UTF-8, but line {line} is not ({error.reason}); convert it, e.g. "
            f"iconv -f latin1 -t utf8"
        ) from None
