"""Where what is kept for later runs lies: trained weights, proxy scores."""

from __future__ import annotations

from pathlib import Path

from nasplug.contracts.errors import NasplugError


def cache_folder(kind: str | None = None, chosen: str | None = None) -> Path:
    """The folder of what is kept of one `kind` ("supernets", "networks", "scores"), or of all.

    By default nasplug/KIND in the user's cache folder: $XDG_CACHE_HOME or ~/.cache on Linux,
    ~/Library/Caches on a Mac, %LOCALAPPDATA% on Windows; `chosen` replaces that. Nothing is made.
    What lies there is named by a hash and says what it is: NAME.json beside, or the first line of
    NAME.jsonl; `mode=cache` lists and clears it.
    """
    import platformdirs

    try:
        if chosen:
            return Path(chosen).expanduser()
        everything = Path(platformdirs.user_cache_dir("nasplug", appauthor=False)).expanduser()
    except RuntimeError as error:  # no home folder
        raise NasplugError(f"the cache folder {chosen or ''!r} must have a home: {error}") from None
    return everything / kind if kind else everything
