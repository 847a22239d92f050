"""The knobs of a choice as its YAML file has them, each with the comment that explains it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nasplug.plugins.choices import config_dir, config_dirs

COMMENT = re.compile(r"[\s,\]}]*#\s*(.*)")


@dataclass(frozen=True)
class Knob:
    """One setting: its key with dots, its default as the file writes it, and what the comment says."""

    key: str
    default: str
    comment: str


def knobs(path: Path) -> list[Knob]:
    """Every setting of a YAML file, in order; a comment stands beside its key, or in the lines above.

    Keys that describe the file (`defaults`, `_target_`) are left out; a mapping without a comment of
    its own is told by its keys. A file that changes another of its group has that one's settings too.
    """
    import yaml

    text = path.read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    found = {k.key: k for base in _bases(path) for k in knobs(base)}
    for own in _knobs(root, "", text.splitlines()) if root is not None else ():
        before = found.get(own.key)
        found[own.key] = replace(own, comment=own.comment or (before.comment if before else ""))
    return list(found.values())


def _bases(path: Path) -> list[Path]:
    """The files of the same group, of whichever plug-in, that a file's defaults start from."""
    names = [e for e in settings(path).get("defaults", []) if isinstance(e, str) and e != "_self_"]
    folders = [Path(config_dir()), *config_dirs().values()]
    files = [folder / path.parent.name / f"{name}.yaml" for name in names for folder in folders]
    return [file for file in files if file.exists()]


def summary(path: Path) -> str:
    """What the comment at the head of a file says, in one line; "" without one."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.lstrip("# "))
    return " ".join(lines)


def settings(path: Path) -> dict[str, Any]:
    """The file as it stands, a mapping."""
    import yaml

    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return found


def inner_choices(path: Path) -> list[tuple[str, str, str]]:
    """The choices that a file's defaults put inside it: (group, key, choice)."""
    found = []
    for entry in settings(path).get("defaults", []):
        for words, choice in entry.items() if isinstance(entry, dict) else ():
            group, at, key = str(words).lstrip("/").partition("@")
            if at and not group.startswith("override") and choice:
                found.append((group, key, str(choice)))
    return found


def _knobs(node: Any, prefix: str, lines: list[str]) -> Iterator[Knob]:
    import yaml

    for name, value in node.value:
        key = f"{prefix}{name.value}"
        if name.value in ("defaults", "_target_"):
            continue
        beside = _beside(name, value, lines)
        block = isinstance(value, yaml.MappingNode) and not value.flow_style
        if block and value.value:
            if beside and not prefix:
                yield Knob(key, "", beside)
            yield from _knobs(value, f"{key}.", lines)
        else:
            yield Knob(key, _default(value, lines), beside or _above(name.start_mark.line, lines))


def _beside(name: Any, value: Any, lines: list[str]) -> str:
    """The comment on the line where a value ends; of a block, on that of its key."""
    block = value.style in ("|", ">") if isinstance(value.value, str) else not value.flow_style
    mark = name.end_mark if block else value.end_mark
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    found = COMMENT.fullmatch(rest.lstrip(":"))
    return found[1].strip() if found else ""


def _above(line: int, lines: list[str]) -> str:
    """The comment lines directly above, as one."""
    found: list[str] = []
    while line > 0 and lines[line - 1].strip().startswith("#"):
        line -= 1
        found.insert(0, lines[line].strip().lstrip("# "))
    return " ".join(found)


def _default(value: Any, lines: list[str]) -> str:
    start, end = value.start_mark, value.end_mark
    if start.line == end.line:
        return (
            lines[start.line][start.column : end.column].strip() if start.line < len(lines) else ""
        )
    inner = [lines[start.line][start.column :], *lines[start.line + 1 : end.line + 1]]
    inner[-1] = inner[-1][: end.column]
    return " ".join(re.sub(r"\s#.*", "", line).strip() for line in inner).strip()
