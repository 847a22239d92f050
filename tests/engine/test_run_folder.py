"""A run's folder: one process, one configuration, and files that are whole."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nasplug import NasplugError
from nasplug.engine.run_folder import load_config, lock_folder, save_or_verify_config
from nasplug.toolkit.system.files import replacing, sweep

CONFIG = {"space": {"width": 1.2, "sizes": (3, 5), "nested": [[1, 2]]}, "seed": 0, "budget": 10}


def names(folder):
    return sorted(p.name for p in folder.iterdir())


class TestReplacing:
    def test_the_old_file_stays_until_the_new_one_is_whole(self, tmp_path):
        path = tmp_path / "f"
        path.write_text("old")
        with replacing(path) as temporary:
            temporary.write_text("new")
            assert path.read_text() == "old" and temporary.parent == tmp_path
        assert path.read_text() == "new" and names(tmp_path) == ["f"]

    def test_an_error_leaves_the_old_file_and_nothing_else(self, tmp_path):
        path = tmp_path / "f"
        path.write_text("old")
        with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError
        assert path.read_text() == "old" and names(tmp_path) == ["f"]

    def test_permissions_are_those_of_any_new_file(self, tmp_path):
        before = os.umask(0o027)
        try:
            with replacing(tmp_path / "f") as temporary:
                temporary.write_text("x")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640

    def test_two_writers_of_one_file_do_not_meet(self, tmp_path):
        path = tmp_path / "f"
        with replacing(path) as first, replacing(path) as second:
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "first" and names(tmp_path) == ["f"]

    def test_sweep_removes_what_a_killed_writer_left_and_nothing_else(self, tmp_path):
        code = (
            "import os, sys; from pathlib import Path; from nasplug.toolkit.system.files import replacing\n"
            "with replacing(Path(sys.argv[1])) as t: t.write_text('half'); os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "f")], env=environment())
        assert len(names(tmp_path)) == 1
        (tmp_path / ".mine.tmp").write_text("")
        with replacing(tmp_path / "g") as temporary:
            temporary.write_text("at work")
            sweep(tmp_path)
        assert names(tmp_path) == [".mine.tmp", "g"]


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


class TestLock:
    def test_a_symbolic_link_in_its_place_is_refused_and_what_it_names_is_whole(self, tmp_path):
        precious, folder = tmp_path / "precious", tmp_path / "r"
        precious.write_text("mine")
        folder.mkdir()
        (folder / ".lock").symlink_to(precious)
        with pytest.raises(NasplugError, match="symbolic link"), lock_folder(folder):
            raise AssertionError
        assert precious.read_text() == "mine"

    def test_it_is_free_when_its_holder_is_killed(self, tmp_path):
        code = (
            "import os, sys; from pathlib import Path\n"
            "from nasplug.engine.run_folder import lock_folder\n"
            "with lock_folder(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r")], env=environment())
        assert done.returncode == -9 and (tmp_path / "r" / ".lock").exists()
        with (
            lock_folder(tmp_path / "r"),
            pytest.raises(NasplugError, match="another is at work"),
            lock_folder(tmp_path / "r"),
        ):
            raise AssertionError

    def test_leftovers_are_swept_when_it_is_taken(self, tmp_path):
        left = left_by_a_dead_process(tmp_path)
        with lock_folder(tmp_path):
            assert not left.exists()


def left_by_a_dead_process(folder):
    """A temporary file as a process that has ended would have left it."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with replacing(folder / "results.csv") as temporary:
        temporary.write_text("")
        dead = Path(str(temporary).replace(f".{os.getpid()}.", f".{process.pid}."))
        dead.write_text("half")
    return dead


class TestConfig:
    def test_is_written_once(self, tmp_path):
        save_or_verify_config(tmp_path, CONFIG)
        first = (tmp_path / "config.yaml").stat()
        save_or_verify_config(tmp_path, CONFIG)
        again = (tmp_path / "config.yaml").stat()
        assert (first.st_ino, first.st_mtime_ns) == (again.st_ino, again.st_mtime_ns)
        assert load_config(tmp_path)["space"]["sizes"] == [3, 5]

    def test_a_raised_budget_replaces_it(self, tmp_path):
        save_or_verify_config(tmp_path, CONFIG)
        with (tmp_path / "config.yaml").open() as old:
            save_or_verify_config(tmp_path, {**CONFIG, "budget": 20})
            assert "budget: 10" in old.read(), "rewritten in place"
        assert load_config(tmp_path)["budget"] == 20

    def test_the_name_of_the_study_stays_that_of_the_beginning(self, tmp_path):
        save_or_verify_config(tmp_path, {**CONFIG, "study": "first"})
        save_or_verify_config(tmp_path, {**CONFIG, "study": "renamed", "budget": 20})
        assert load_config(tmp_path)["study"] == "first"

    def test_other_data_are_refused_and_both_are_named(self, tmp_path):
        save_or_verify_config(tmp_path, {**CONFIG, "data_fingerprint": "9 images"})
        save_or_verify_config(tmp_path, {**CONFIG, "data_fingerprint": "9 images", "budget": 20})
        with pytest.raises(
            NasplugError, match=r"on other data.*'9 images'.*'8 images'.*another folder"
        ):
            save_or_verify_config(tmp_path, {**CONFIG, "data_fingerprint": "8 images"})
        assert load_config(tmp_path)["data_fingerprint"] == "9 images"

    def test_a_run_from_before_data_were_told_apart_continues(self, tmp_path):
        save_or_verify_config(tmp_path, CONFIG)
        save_or_verify_config(tmp_path, {**CONFIG, "data_fingerprint": "9 images"})
        with pytest.raises(NasplugError, match="on other data"):
            save_or_verify_config(tmp_path, {**CONFIG, "data_fingerprint": "8 images"})

    @pytest.mark.parametrize("text", ["", "space: {a: [1\n", "just text", "\0\0"])
    def test_what_is_not_one_is_named_and_what_to_type(self, tmp_path, text):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(NasplugError, match=r"config.yaml must hold .* rm "):
            save_or_verify_config(tmp_path, CONFIG)
        assert (tmp_path / "config.yaml").read_text() == text
