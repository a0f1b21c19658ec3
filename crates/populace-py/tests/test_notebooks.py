"""The notebooks of the documentation run from top to bottom."""

import ast
import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[3] / "docs/notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 6


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch, capsys):
    if notebook.stem == "spark":
        pytest.importorskip("pyspark", reason="spark-check runs it, with Spark")
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib").use("agg")
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "__main__"}
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse("".join(cells[-1]["source"])))), "it ends with a claim"
    shown = 0
    for number, cell in enumerate(cells):
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{notebook.name}, cell {number}", "exec"), scope)
        value = None if last is None else eval(compile(ast.Expression(last.value), f"{notebook.name}, cell {number}", "eval"), scope)
        # What models print depends on the versions of their libraries; whether they print does not.
        assert bool(capsys.readouterr().out) == any(output["output_type"] == "stream" for output in cell["outputs"])
        kept = [output for output in cell["outputs"] if output["output_type"] == "execute_result"]
        assert (value is not None) == bool(kept), "a result that a cell shows is kept in the notebook"
        shown += bool(cell["outputs"])
    assert shown >= len(cells) // 2
