"""Whatever anybody returns or raises, as one line of text that every file and terminal takes."""

from __future__ import annotations

from typing import Any

LONGEST_TEXT = 500
"""Characters of an error that are kept."""


def shown(value: Any) -> str:
    """`value` and its type for a message, whatever its repr does."""
    try:
        text = clean(repr(value), 60)
    except Exception:
        text = "what has no repr"
    return text if value is None or isinstance(value, float) else f"{text} ({type(value).__name__})"


def clean(text: Any, longest: int = LONGEST_TEXT) -> str:
    """One line of printable characters, which every file and terminal takes.

    Control characters and lone surrogates become blanks; what is too long is cut.
    """
    try:
        whole = str(text)
    except Exception as error:
        return f"(its text raises {type(error).__name__})"
    start = whole[: 4 * longest]
    line = " ".join("".join(c if c.isprintable() else " " for c in start).split())
    return line if len(line) <= longest and start == whole else f"{line[:longest]} .."
