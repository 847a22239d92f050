"""What all tests share."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: small sums, and several processes

import pytest

cache = tempfile.TemporaryDirectory()  # scores and weights of tests are not those of the user
os.environ["XDG_CACHE_HOME"] = cache.name

DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data and known answers, kept beside the checkout."""
    if not DATA.is_dir():
        pytest.skip("the reference data, ../shared/data, are not beside the checkout")
    return DATA
