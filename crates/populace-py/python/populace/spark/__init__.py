"""Runs on Spark: the rows that one machine would make, in any number of partitions.

    from populace.spark import PopulaceDataSource                      # Spark 4

    spark.dataSource.register(PopulaceDataSource)
    events = spark.read.format("populace").option("scenario", "email").option("users", 10_000_000).option("seed", 42).load()

    from populace.spark import Portions                                # Spark 3.5 and later

    events = Portions("email", users=10_000_000, seed=42).frame(spark)

Needs `populace` with its extra `spark`, on the driver and on every executor, in one version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import types

from populace.spark import _columns, _digest
from populace.spark._portions import Plan

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from populace.spark._source import PopulaceDataSource as PopulaceDataSource

__all__ = ["PopulaceDataSource", "Portions", "digest"]


def __getattr__(name: str) -> Any:
    if name != "PopulaceDataSource":
        raise AttributeError(f"module 'populace.spark' has no attribute {name!r}")
    try:
        from populace.spark._source import PopulaceDataSource
    except ImportError as error:
        raise ImportError(f"PopulaceDataSource needs Spark 4; use Portions with this one ({error})") from error
    return PopulaceDataSource


class Portions:
    """A table of a run, divided into parts that tasks make: for Spark without Python data sources, or where parts are rows of a frame.

    The options are those of `PopulaceDataSource` as keywords, with `set` as a dictionary of paths and values:

        parts = Portions("churn", users=1_000_000, seed=7, table="events", partitions=64)
        parts.frame(spark)                                                       # the table
        numbers.mapInArrow(parts.map, parts.schema)                              # of a frame with a column `part`
        numbers.groupBy("part").applyInArrow(parts.apply, parts.schema)          # the same by groups (Spark 4)

    Where rows have numbers (churn under `event_ids: sequential`) they are counted here, once, on all cores of the driver. Raises `InputError` for an
    option that is wrong.
    """

    def __init__(self, scenario: str, *, columns: list[str] | None = None, set: Mapping[str, Any] | None = None, **options: Any) -> None:
        plan = Plan({**options, "scenario": scenario, "columns": columns, "set": set})
        self.schema: types.StructType = plan.schema
        self.table: str = plan.table
        self._recipe = plan.recipe(plan.schema)
        self._portions = plan.portions(self._recipe)

    def __len__(self) -> int:
        """Number of parts."""
        return len(self._portions)

    def frame(self, spark: SparkSession) -> DataFrame:
        """The table, a partition for each part."""
        parts = spark.range(0, len(self), 1, len(self)).withColumnRenamed("id", "part")
        return parts.mapInArrow(self.map, self.schema)

    @property
    def map(self) -> Any:
        """A function for `mapInArrow`: from batches with a column `part`, numbers from 0, to the rows of these parts."""
        recipe, portions = self._recipe, self._portions

        def rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for part in batch.column(batch.schema.names.index("part")).to_pylist():
                    yield from recipe.batches(portions[part])

        return rows

    @property
    def apply(self) -> Any:
        """A function for `applyInArrow`: from a group with a column `part` to the rows of these parts."""
        recipe, portions = self._recipe, self._portions

        def rows(group: pa.Table) -> pa.Table:
            parts = group.column("part").to_pylist()
            return pa.Table.from_batches([batch for part in parts for batch in recipe.batches(portions[part])], recipe.columns)

        return rows


def digest(frame: DataFrame, scenario: str, table: str | None = None, **options: Any) -> tuple[int, str]:
    """The rows and the digest of a table in a data frame, whatever made it: the figures of `manifest.json` for equal rows in any order.

    `scenario`, `table` and the options say what columns the table has; users and seed do not matter.

        rows, found = populace.spark.digest(spark.read.parquet("events"), "email")
        assert found == populace.open("data").manifest["tables"]["events"]["digest"]

    Raises `InputError` for an option that is wrong; Spark's own exception if a column is missing.
    """
    plan = Plan({"seed": 0, **options, "scenario": scenario, "table": table})
    columns = _columns.plain(plan.own_schema)

    def sums(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows, first, second = _digest.total(_digest.of_batch(batch, columns) for batch in batches)
        yield pa.record_batch([pa.array([rows], pa.int64()), pa.array([str(first)]), pa.array([str(second)])], ["rows", "first", "second"])

    parts = frame.select(*plan.schema.names).mapInArrow(sums, "rows long, first string, second string").collect()
    whole = _digest.total((row["rows"], int(row["first"]), int(row["second"])) for row in parts)
    return whole[0], _digest.text(whole)
