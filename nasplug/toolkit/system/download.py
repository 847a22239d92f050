"""Published files, fetched once."""

from __future__ import annotations

import hashlib
import logging
import shutil
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from nasplug.contracts.errors import NasplugError
from nasplug.toolkit.system.files import replacing

log = logging.getLogger(__name__)
TIMEOUT = 30.0


def download(
    address: str, folder: Path, what: str = "the published weights", setting: str = "weights"
) -> Path:
    """The file at `address`, fetched into `folder` unless it is there already, as it was fetched.

    Its SHA-256 lies beside; a file that was damaged since is fetched anew. Errors say `what` it is, and
    the `setting` that takes a file of the user's instead.
    """
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    path = folder / f"{digest}-{address.rsplit('/', 1)[-1]}"
    mark = path.with_name(f"{path.name}.sha256")
    try:
        if path.exists():
            if not mark.exists():  # fetched before there were marks
                with suppress(OSError):  # a folder that is only to be read
                    _note(mark, path)
                return path
            if mark.read_text().split() == [_sha256(path)]:
                return path
            log.warning("%s is damaged (it is not what was fetched): it is fetched anew", path)
        folder.mkdir(parents=True, exist_ok=True)
        mark.unlink(missing_ok=True)
        with (
            urllib.request.urlopen(address, timeout=TIMEOUT) as answer,
            replacing(path) as temporary,
        ):
            with open(temporary, "wb") as file:
                shutil.copyfileobj(answer, file)
            _note(mark, temporary)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise NasplugError(
            f"{what} could not be fetched from {address} ({error}); fetch that file elsewhere and give it "
            f"with {setting}=PATH"
        ) from None
    return path


def _note(mark: Path, path: Path) -> None:
    with replacing(mark) as temporary:
        temporary.write_text(_sha256(path) + "\n")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
