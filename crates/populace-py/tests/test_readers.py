"""Parquet files of Populace, read by other programs: every value is the one that pyarrow finds, and text formats take them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import digests

import populace as pp

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

Rows = list[tuple[Any, ...]]


def plain(value: Any) -> Any:
    """A value as it is compared: times and dates in microseconds since 1970, what is missing as None."""
    import datetime

    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, datetime.datetime):
        value = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return round((value - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) / datetime.timedelta(microseconds=1))
    if hasattr(value, "item"):
        return plain(value.item())
    return value


def rows(columns: dict[str, list[Any]]) -> Rows:
    names = sorted(columns)
    return list(zip(*([plain(value) for value in columns[name]] for name in names)))


def by_pyarrow(path: Path) -> Rows:
    return rows(pq.read_table(path).to_pydict())


def by_pandas(path: Path) -> Rows:
    import pandas as pd

    frame = pd.read_parquet(path)
    frame.to_csv(io.StringIO())
    frame.to_json()
    return rows({name: list(frame[name]) for name in frame})


def by_polars(path: Path) -> Rows:
    import polars as pl

    frame = pl.read_parquet(path)
    frame.write_csv(io.BytesIO())
    frame.write_ndjson(io.BytesIO())
    return rows(frame.to_dict(as_series=False))


def by_duckdb(path: Path) -> Rows:
    import duckdb

    found = duckdb.sql(f"SET TimeZone = 'UTC'; SELECT * FROM '{path}'").arrow()
    found = found.read_all() if hasattr(found, "read_all") else found
    return rows(found.to_pydict())


def by_fastparquet(path: Path) -> Rows:
    from fastparquet import ParquetFile

    frame = ParquetFile(str(path)).to_pandas()
    return rows({name: [value.decode() if isinstance(value, bytes) else value for value in frame[name]] for name in frame})


def by_clickhouse(path: Path) -> Rows:
    import chdb

    found = chdb.query(f"SELECT * FROM file('{path}', Parquet)", "ArrowStream").bytes()
    table = pa.ipc.open_stream(found).read_all()
    text = [pa.field(field.name, pa.string()) if pa.types.is_binary(field.type) else field for field in table.schema]
    return rows(table.cast(pa.schema(text)).to_pydict())


def by_spark(path: Path) -> Rows:
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    frame = session.read.parquet(str(path))
    return rows({name: [row[name] for row in frame.collect()] for name in frame.columns})


READERS: dict[str, Callable[[Path], Rows]] = {
    "pyarrow": by_pyarrow,
    "pandas": by_pandas,
    "polars": by_polars,
    "duckdb": by_duckdb,
    "fastparquet": by_fastparquet,
    "clickhouse": by_clickhouse,
    "spark": by_spark,
}
MODULES = {"clickhouse": "chdb", "spark": "pyspark"}


def tables(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*.parquet") if ".populace" not in path.parts)


def check(path: Path, reader: str) -> None:
    """Holds what a reader finds against what pyarrow does."""
    expected, found = by_pyarrow(path), READERS[reader](path)
    assert len(found) == len(expected), f"{path.name}: {reader} finds {len(found)} rows of {len(expected)}"
    key = lambda row: json.dumps(row, default=str)  # noqa: E731
    for ours, theirs in zip(sorted(expected, key=key), sorted(found, key=key)):
        for a, b in zip(ours, theirs):
            assert a == b or (isinstance(a, float) and abs(a - float(b)) <= 1e-12 * abs(a)), f"{path.name}: {reader}: {a!r} and {b!r}"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("scenario", ["email", "traces", "churn"])
def test_every_reader_finds_the_same_values(scenario: str, reader: str, tmp_path: Path) -> None:
    pytest.importorskip(MODULES.get(reader, reader))
    pp.generate(scenario, users=40, seed=3).write(tmp_path / "run", format="parquet")
    found = tables(tmp_path / "run")
    assert found
    for table in found:
        check(table, reader)


def test_compact_types_hold_the_same_rows(tmp_path: Path) -> None:
    run = pp.generate("traces", users=40, seed=3)
    run.write(tmp_path / "portable", format="parquet")
    run.write(tmp_path / "compact", format="parquet", parquet="compact")
    assert digests(tmp_path / "portable") == digests(tmp_path / "compact")
    kinds = [pq.read_schema(tmp_path / name / "calls.parquet").field("call_id").type for name in ("portable", "compact")]
    assert kinds[0] == pa.string() and kinds[1] != pa.string()
