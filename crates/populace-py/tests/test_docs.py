"""The examples in the documentation of the package run."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[3] / "docs/guide/python.md"


@pytest.mark.parametrize("name", ["populace", "populace._analysis", "populace._run", "populace._scenario", "populace.traces", *(f"populace.traces._{part}" for part in ("generator", "sequences", "workflow"))])
def test_doctests(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0 and found.failed == 0


def test_the_guide(tmp_path, monkeypatch):
    pytest.importorskip("pandas"), pytest.importorskip("polars")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    scope = {}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), scope)
