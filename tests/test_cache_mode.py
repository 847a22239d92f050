"""mode=cache: kept things are listed and cleared, and nothing else is touched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import get_method

from nasplug import NasplugError
from nasplug.app.command_line.overrides import compose
from nasplug.toolkit.system.cache import cache_folder
from nasplug.toolkit.system.locks import exclusive_lock

NETWORK, SUPERNET, SCORES = ("a1" * 32, "b2" * 32, "c3" * 32)
FETCHED = "d4" * 8


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of every kind, as the plug-ins leave it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    about = {"space": {"_target_": "pkg.SomeSpace"}, "task": {"_target_": "pkg.Digits"}, "seed": 3}
    folder = cache_folder()
    for kind, name in (("networks", NETWORK), ("supernets", SUPERNET)):
        (folder / kind).mkdir(parents=True)
        (folder / kind / f"{name}.safetensors").write_bytes(bytes(1500))
        (folder / kind / f"{name}.json").write_text(json.dumps(about))
        (folder / kind / f"{name}.lock").touch()
    (folder / "scores").mkdir()
    head = json.dumps({"proxy": {"_target_": "pkg.SynFlow"}, "space": about["space"]})
    (folder / "scores" / f"{SCORES}.jsonl").write_text(head + "\n[[0, 1], 2.5]\n")
    (folder / "supernets" / f"{FETCHED}-net.pth").write_bytes(bytes(10))
    (folder / "supernets" / "notes.txt").write_text("not ours")
    old = (folder / "networks" / f"{NETWORK}.safetensors").stat().st_mtime - 10 * 86400
    for file in (folder / "networks").iterdir():
        os.utime(file, (old, old))
    return folder


def run(*overrides: str) -> None:
    cfg = compose("mode=cache", *overrides)
    get_method(cfg.mode["_target_"])(cfg)


def names(folder: Path) -> set[str]:
    return {p.name.split(".")[0].split("-")[0] for p in folder.rglob("*") if p.is_file()}


def test_everything_is_listed(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    text = capsys.readouterr().out
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if "-" in line]
    listed = {row[0]: row for row in rows if len(row) == 5}
    assert set(listed) == {n[:12] for n in (NETWORK, SUPERNET, SCORES, FETCHED)}
    assert listed[SUPERNET[:12]][1:3] == ["supernets", "1.6 kB"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", listed[SUPERNET[:12]][3])
    assert listed[SUPERNET[:12]][4] == "space SomeSpace, task Digits, seed 3"
    assert listed[SCORES[:12]][1] == "scores" and "proxy SynFlow" in listed[SCORES[:12]][4]
    assert listed[FETCHED[:12]][4] == "fetched net.pth"
    assert f"4 in {cache}, " in text
    assert names(cache) == {NETWORK, SUPERNET, SCORES, FETCHED, "notes"}


@pytest.mark.parametrize(
    ("overrides", "gone"),
    [
        (["clear=all"], {NETWORK, SUPERNET, SCORES, FETCHED}),
        (["clear=scores"], {SCORES}),
        (["clear=supernets"], {SUPERNET, FETCHED}),
        ([f"clear={SUPERNET[:12]}"], {SUPERNET}),
        (["clear=all", "older=5"], {NETWORK}),
        (["clear=supernets", "older=5"], set()),
    ],
)
def test_what_is_named_is_removed(
    overrides: list[str], gone: set[str], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names(cache)
    run(*overrides)
    assert names(cache) == before - gone
    text = capsys.readouterr().out
    assert f"{len(gone)} removed" in text and all(name[:12] in text for name in gone)


def test_what_a_training_works_on_stays(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with exclusive_lock(cache / "supernets" / f"{SUPERNET}.lock", wait=False):
        run("clear=all")
    assert names(cache) == {SUPERNET, "notes"}
    assert f"kept supernets {SUPERNET[:12]}: a training is at work" in capsys.readouterr().out


def test_links_are_removed_not_followed(cache: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / f"{NETWORK}.json").write_text("{}")
    (cache / "linked").symlink_to(precious)
    (cache / "scores" / f"{'e5' * 32}.json").symlink_to(precious / f"{NETWORK}.json")
    run("clear=all")
    assert (precious / f"{NETWORK}.json").read_text() == "{}"
    assert names(cache) == {"notes"} and (cache / "linked").is_symlink()


def test_mistakes_are_one_line(cache: Path) -> None:
    with pytest.raises(NasplugError, match=r"'proxies'. Kinds: networks, scores, supernets"):
        run("clear=proxies")
    with pytest.raises(NasplugError, match="nothing is called 'b2'"):
        run("clear=b2")
    with pytest.raises(NasplugError, match=r"older.* at least 0"):
        run("older=-1")
    assert len(names(cache)) == 5


def test_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-m", "nasplug", "mode=cache"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "none"), "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stdout == f"nothing is kept in {tmp_path}/none/nasplug\n"


def test_a_damaged_description_is_said(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cache / "supernets" / f"{SUPERNET}.json").write_text("[1")
    (cache / "networks" / f"{NETWORK}.json").write_bytes(b"\xff\xfe")
    run()
    assert capsys.readouterr().out.count("its description cannot be read") == 2
