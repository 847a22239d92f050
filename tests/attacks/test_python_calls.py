"""Every wrong call ends in one clear line."""

import pytest
from attacks.python_calls import CALLS, TYPE_ERRORS, outcome


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_one_clear_line(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert outcome(call).startswith("ok: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", TYPE_ERRORS.values(), ids=TYPE_ERRORS)
def test_as_python_itself(call):
    assert outcome(call).startswith("TypeError: ")
