"""What all tests share."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data and known answers, kept beside the checkout."""
    if not DATA.is_dir():
        pytest.skip(f"the reference data are not beside the checkout ({DATA.name} of shared)")
    return DATA
