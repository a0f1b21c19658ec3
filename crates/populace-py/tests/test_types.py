"""Type checkers pass the package and a user's script, and find the mistakes in it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import populace as pp
from populace import _options, _populace, _types

SCRIPT = Path(__file__).with_name("user_script.py")
MISTAKES = {number: match[1] for number, line in enumerate(SCRIPT.read_text().splitlines(), 1) if (match := re.search(r"# error: (.*)$", line))}


def checked(*arguments):
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True, timeout=600, cwd=SCRIPT.parents[3])
    return done.returncode, done.stdout + done.stderr


def found(text):
    """Line and message of each error in the script."""
    return {int(line): message for line, message in re.findall(rf"{SCRIPT.name}:(\d+):.*?error: (.*)", text)}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_mistakes_are_found_and_nothing_else(checker):
    pytest.importorskip(checker), pytest.importorskip("pandas")
    code, text = checked(*(["mypy", "--strict"] if checker == "mypy" else ["pyright", "--pythonpath", sys.executable]), SCRIPT)
    errors = found(text)
    assert code == 1 and errors.keys() == MISTAKES.keys(), text
    assert len(MISTAKES) >= 10 and all(MISTAKES[line] in message or "users" in message for line, message in errors.items())


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_package_passes(checker):
    pytest.importorskip(checker), pytest.importorskip("pandas")
    package = Path(pp.__file__).parent
    code, text = checked(*(["mypy", "--strict", "-p", "populace"] if checker == "mypy" else ["pyright", "--pythonpath", sys.executable, package]))
    # Where there is no Spark, its own part cannot be looked at.
    errors = [line for line in text.splitlines() if " error: " in line or " - error" in line]
    errors = [line for line in errors if "pyspark" not in line or "could not be resolved" not in line]
    assert not errors and (code == 0 or "pyspark" in text), text


def test_the_options_that_are_typed_are_those_that_there_are():
    typed = _types.GenerateOptions.__required_keys__ | _types.GenerateOptions.__optional_keys__
    known = {*_options.SHORTCUTS, *(name for name, _ in _populace.components()), "events", "seed", "random_state", "profile", "set", "truth", "tables", "count", "threads"}
    assert typed == known
    import inspect

    assert {*inspect.signature(pp.generate).parameters} == known | {"scenario", "progress"}
    assert {*inspect.signature(pp.Run.write).parameters} == {*get_type_names(_types.WriteOptions), "self", "directory", "format"}


def get_type_names(kind):
    return kind.__required_keys__ | kind.__optional_keys__
