"""What the tests share."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def command():
    """The command of the installed package, as a process."""
    script = Path(sys.executable).with_name("populace")
    assert script.exists(), "the wheel brings the command"

    def run(*arguments, check=True, cwd=None):
        done = subprocess.run([script, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=300)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return run


def digests(directory):
    """The digest of each table of a run in a directory."""
    manifest = json.loads((Path(directory) / "manifest.json").read_text())
    return {name: table["digest"] for name, table in manifest["tables"].items()}


def files(directory):
    """The bytes of each file of a run, but for the log, which has the time it took."""
    root = Path(directory)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != "run.log"}
