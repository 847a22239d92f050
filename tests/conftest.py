"""What all tests share."""

import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: small sums, and several processes

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")  # a test must not fail where the machine is busy

cache = tempfile.TemporaryDirectory()  # scores and weights of tests are not those of the user
os.environ["XDG_CACHE_HOME"] = cache.name

if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):  # a shell does so to what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data and known answers, kept beside the checkout."""
    if not DATA.is_dir():
        pytest.skip("the reference data, ../shared/data, are not beside the checkout")
    return DATA


@pytest.fixture
def cli(tmp_path, monkeypatch, capfd):
    """Runs `python -m nasplug ARGUMENTS` in an empty folder; gives (status, stdout, stderr)."""
    from nasplug.app.command_line.main import main
    from nasplug.plugins.discovery import plugins

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # it is set by `main`, for its own process alone
    modules = (module.__name__ for module in plugins().get_plugins())
    loggers = [logging.getLogger(name) for name in (None, "nasplug", *modules)]
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
