"""What tests of the command line share."""

import logging
import sys

import pytest

from nasplug.app.command_line import main
from nasplug.plugins.discovery import plugins


@pytest.fixture
def cli(tmp_path, monkeypatch, capfd):
    """Runs `python -m nasplug ARGUMENTS` in an empty folder; gives (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    loggers = [
        logging.getLogger(n) for n in ("nasplug", *(m.__name__ for m in plugins().get_plugins()))
    ]
    before = [(x.level, list(x.handlers), x.propagate) for x in loggers]

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["nasplug", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        out, err = capfd.readouterr()
        return status, out, err

    yield run
    for logger, (level, handlers, propagate) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers, logger.propagate = handlers, propagate
