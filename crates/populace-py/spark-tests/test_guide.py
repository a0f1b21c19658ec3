"""The Python of the guide runs, in its order, and every block asserts what it claims."""

import re
from pathlib import Path

import pytest

pytest.importorskip("pyspark", minversion="4.1")  # The guide uses filters that reach the data source.
GUIDE = Path(__file__).parents[3] / "docs/guide/spark.md"


@pytest.mark.long
def test_the_guide_runs(spark, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8 and all("\nassert " in block for block in blocks)
    names = {"spark": spark}
    pushdown = spark.conf.get("spark.sql.python.filterPushdown.enabled")
    for number, block in enumerate(blocks):
        # Spark's own directory is where it was started.
        for name in ("events.parquet", "one-machine", "churn"):
            block = block.replace(f'parquet("{name}")', f"parquet({str(tmp_path / name)!r})")
        exec(compile(block, f"block {number} of {GUIDE.name}", "exec"), names)
    spark.conf.set("spark.sql.python.filterPushdown.enabled", pushdown)
    assert (tmp_path / "events.parquet").is_dir()
