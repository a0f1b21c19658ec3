"""The examples in the documentation of the package run."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

GUIDES = Path(__file__).resolve().parents[3] / "docs/guide"


MODULES = ["_analysis", "_run", "_score", "_scorer", "datasets", "traces", *(f"traces.{part}" for part in ("feature_engineer", "sequence_builder", "synthetic_generator"))]


@pytest.mark.parametrize("name", ["populace", *(f"populace.{part}" for part in MODULES)])
def test_doctests(name):
    # An example is where a name is public: all of the package's are tried with `populace`, whatever file they are in.
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0 and found.attempted > 0


@pytest.mark.parametrize(("name", "least"), [("python", 7), ("from-api-traces", 1)])
def test_the_guides(name, least, tmp_path, monkeypatch):
    pytest.importorskip("pandas"), pytest.importorskip("polars"), pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (GUIDES / f"{name}.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= least
    scope = {}
    for block in blocks:
        exec(compile(block, name, "exec"), scope)
