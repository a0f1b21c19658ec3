"""The examples in the documentation of the package run."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

GUIDES = Path(__file__).resolve().parents[3] / "docs/guide"
MODULES = ["_analysis", "_run", "_score", "_scorer", "datasets", "policy", "traces", *(f"traces.{part}" for part in ("feature_engineer", "sequence_builder", "synthetic_generator"))]


@pytest.mark.parametrize("name", ["populace", *(f"populace.{part}" for part in MODULES)])
def test_doctests(name):
    # An example is where a name is public: all of the package's are tried with `populace`, whatever file they are in.
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0 and found.attempted > 0


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (GUIDES / path).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("name", "least"), [("python.md", 7), ("from-api-traces.md", 1), ("../../README.md", 1), ("query.md", 2)])
def test_the_guides(name, least, tmp_path, monkeypatch, command):
    pytest.importorskip("pandas"), pytest.importorskip("polars"), pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    found = blocks(name, "python")
    assert len(found) >= least and sum("assert " in block for block in found) >= len(found) - 1, "examples assert what they claim"
    if name == "query.md":
        for line in re.findall("^populace (generate .*)$", "".join(blocks(name, "sh")), re.MULTILINE):
            command(*line.split(), cwd=tmp_path)
        check_queries(blocks(name, "sql")[0])
    scope = {}
    for block in found:
        exec(compile(block, name, "exec"), scope)


def check_queries(text):
    duckdb = pytest.importorskip("duckdb")
    by_persona, counted = (duckdb.sql(query).fetchall() for query in text.split(";")[:2])
    rates = [rate for _, rate in by_persona]
    assert by_persona[0][0] == "highly_engaged" and by_persona[-1][0] == "low_engaged" and rates == sorted(rates, reverse=True)
    assert counted[0][0] > 2 * 32 * 1024
