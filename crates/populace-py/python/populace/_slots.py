"""Tables that are in memory, in files of this process."""

from __future__ import annotations

import hashlib
import os

_paths: dict[str, str] = {}
_directories: dict[int, str] = {}


def kept(text: str) -> str:
    """A file with the text, the same one for the same text, until the process ends."""
    key = hashlib.sha256(text.encode()).hexdigest()
    if key not in _paths:
        path = os.path.join(_directory(), f"{key[:16]}.csv")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        _paths[key] = path
    return _paths[key]


def _directory() -> str:
    process = os.getpid()
    if process not in _directories:
        import atexit
        import shutil
        import tempfile  # takes a third of the time of all other imports

        made = tempfile.mkdtemp(prefix="populace-slots-")
        _directories[process] = made
        # What another process has forked is not its to remove.
        atexit.register(lambda: shutil.rmtree(made, True) if os.getpid() == process else None)
    return _directories[process]
