"""What every part must do, whatever it is: say what would build it again."""

from __future__ import annotations

import inspect
import json
from typing import Any

from nasplug.plugins.describing import describe


def check_described(part: Any) -> None:
    """Every argument of the constructor is kept, as plain data or parts, and what is built from
    them is described alike: runs and caches know a part by nothing else."""
    description = describe(part)
    assert json.loads(json.dumps(description)) == description
    kept = {name: getattr(part, name) for name in description if name != "_target_"}
    assert kept.keys() == inspect.signature(type(part)).parameters.keys()
    assert describe(type(part)(**kept)) == description
