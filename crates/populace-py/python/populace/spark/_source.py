"""The data source of Spark 4."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import datasource
from pyspark.sql.types import StructType

from populace.spark._base import DataSource, DataSourceReader, Filter, InputPartition
from populace.spark._portions import Ids, Plan, Portion, Recipe, Span

_TAKES_FILTERS = "pyspark.sql.worker.data_source_pushdown_filters"
"""The module that Spark 4.1 and later plan a reading in where filters may be pushed down. Elsewhere Spark refuses a reader that takes
filters, as the setting for them is off by default."""


class Users(InputPartition):
    """The users of a partition."""

    def __init__(self, portions: list[Portion]) -> None:
        super().__init__(portions)


class PopulaceDataSource(DataSource):
    """A table of a run, as `spark.read.format("populace")`: the rows that one machine would make, on as many as there are.

    Options: `scenario` (a built-in one, a file that the driver can read, or the text of a document), `seed`, `table` (default: the main
    one), `users`, `days`, `start`, `profile`, `set.PATH` (any value of the scenario), `set` (several, as a JSON object), `workflow`,
    `cascade_failure_rate`, `paid_ratio`, `churn_base_rate`, `target_churn_rate`, `latent`, `names`; `partitions` (default: one for about four
    million rows), `columns` (names with commas between), `actors` (START:STOP, the users from START up to STOP, from 0), `threads` of
    each task (default 1).
    """

    @classmethod
    def name(cls) -> str:
        return "populace"

    def _plan(self) -> Plan:
        return Plan({name.lower(): value for name, value in self.options.items()})

    def schema(self) -> StructType:
        return self._plan().schema

    def reader(self, schema: StructType) -> DataSourceReader:
        plan = self._plan()
        recipe = plan.recipe(schema)
        return FilteredReader(plan, recipe) if _TAKES_FILTERS in sys.modules else Reader(plan, recipe)


class Reader(DataSourceReader):
    """Makes the rows of a table. The plan stays where it was made; tasks have the recipe."""

    def __init__(self, plan: Plan, recipe: Recipe) -> None:
        self._plan: Plan | None = plan
        self.recipe = recipe

    def __getstate__(self) -> dict[str, Any]:
        return {"_plan": None, "recipe": self.recipe}

    @property
    def plan(self) -> Plan:
        assert self._plan is not None, "a task has no plan"
        return self._plan

    def partitions(self) -> list[InputPartition]:
        return [Users(portions) for portions in self.plan.portions(self.recipe)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        return self.recipe.batches(partition.value)


class FilteredReader(Reader):
    """Leaves out users whose rows no filter would let through. Spark still filters the rows."""

    def pushFilters(self, filters: list[Filter]) -> Iterable[Filter]:
        ids = self.plan.ids
        for condition in filters:
            spans = None if ids is None else _spans(condition, ids)
            if spans is not None:
                self.plan.narrow(spans)
        return filters


def _spans(condition: Filter, ids: Ids) -> list[Span] | None:
    """The users who may fulfil a condition; `None` if it says nothing of users."""
    if getattr(condition, "attribute", None) != (ids.column,):
        return None
    value, everybody = getattr(condition, "value", None), 2**63
    if isinstance(condition, (datasource.EqualTo, datasource.EqualNullSafe)):
        return ids.users(value)
    if isinstance(condition, datasource.In):
        found = [ids.users(item) for item in condition.value]
        return None if None in found else sorted({span for spans in found if spans is not None for span in spans})
    if ids.is_text or not isinstance(value, int):
        # Text is ordered by its characters, users are by their numbers.
        return None
    user = max(value - ids.offset, -1)
    if isinstance(condition, datasource.GreaterThan):
        return [(user + 1, everybody)]
    if isinstance(condition, datasource.GreaterThanOrEqual):
        return [(max(user, 0), everybody)]
    if isinstance(condition, datasource.LessThan):
        return [(0, user)] if user > 0 else []
    if isinstance(condition, datasource.LessThanOrEqual):
        return [(0, user + 1)] if user >= 0 else []
    return None
