"""The examples in the documentation of the package run."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

GUIDES = Path(__file__).resolve().parents[3] / "docs/guide"


@pytest.mark.parametrize("name", ["populace", "populace._analysis", "populace._run", "populace._scenario", "populace.traces", *(f"populace.traces.{part}" for part in ("feature_engineer", "sequence_builder", "synthetic_generator"))])
def test_doctests(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0 and found.failed == 0


@pytest.mark.parametrize(("name", "least"), [("python", 4), ("from-api-traces", 1)])
def test_the_guides(name, least, tmp_path, monkeypatch):
    pytest.importorskip("pandas"), pytest.importorskip("polars")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (GUIDES / f"{name}.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= least
    scope = {}
    for block in blocks:
        exec(compile(block, name, "exec"), scope)
