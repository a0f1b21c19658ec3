"""A table in portions: ranges of users, each of which any process can make by itself."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import types

from populace import _populace
from populace._errors import InputError, PopulaceError
from populace._run import Run
from populace.spark import _columns, _options

ROWS_PER_PARTITION = 4_000_000
"""Rows of a partition, about, where no number of partitions is given: some seconds of work."""
_SAMPLE = 200
"""Users whose rows are counted to know how many rows there are, about."""
_MOST_SPANS = 64
"""Ranges of users that are told apart; of more, all users between the first and the last are made."""

Span = tuple[int, int]


class Portion(NamedTuple):
    """Users, and the rows of the whole table before them where rows are numbered."""

    start: int
    stop: int
    before: int | None


class Recipe(NamedTuple):
    """All that another process needs to make rows of a table."""

    version: str
    digest: str
    name: str
    text: str
    engine: tuple[tuple[str, Any], ...]
    table: str
    columns: pa.Schema

    def run(self) -> Run:
        """The run, as the driver planned it. Raises `PopulaceError` where another version is installed than there."""
        if _populace.VERSION != self.version:
            raise PopulaceError(f"populace {_populace.VERSION} is installed here and {self.version} on the driver; install one version")
        run = _planned(self.name, self.text, self.engine)
        if run.scenario_digest != self.digest:
            raise PopulaceError(f"the scenario {self.name} became another one on its way here")
        return run

    def batches(self, portions: list[Portion]) -> Iterator[pa.RecordBatch]:
        """The rows of some portions, under the schema that Spark expects."""
        whole = self.run()._native
        for start, stop, before in portions:
            run = Run(whole.actors(start, stop, False).part(0, 1, before))
            for batch in run[self.table].select(*self.columns.names).batches(ids="uuid"):
                yield _columns.converted(pa.record_batch(batch), self.columns)


@functools.lru_cache(maxsize=4)
def _planned(name: str, text: str, engine: tuple[tuple[str, Any], ...]) -> Run:
    return Run(_populace.Run.plan(name, text, dict(engine)))


class Plan:
    """How a table is divided: which users each partition makes."""

    def __init__(self, options: dict[str, Any]) -> None:
        asked = _options.request(options)
        self.native = _options.plan(asked)
        self.whole = Run(self.native)
        self.users: int = self.native.users
        self.table = self.native.main_table if asked.table is None else asked.table
        if self.table not in self.whole.tables:
            raise InputError(f"option table: there is no table {self.table}; there are {', '.join(self.whole.tables)}")
        self.partitions = asked.partitions
        self.own_schema = self.whole[self.table]._schema("uuid", "str")
        self.schema = _columns.struct(self.own_schema)
        if asked.columns is not None:
            self.schema = self._chosen(asked.columns)
        first, last = asked.actors or (0, self.users)
        if last > self.users:
            raise InputError(f"option actors: there are users 0 to {self.users - 1:,}, got {first:,}:{last:,}")
        self.spans: list[Span] = [(first, last)]
        self.engine = {"seed": self.native.seed, "threads": asked.engine["threads"]}

    def _chosen(self, columns: list[str]) -> types.StructType:
        unknown = [name for name in columns if name not in self.schema.names]
        if unknown:
            raise InputError(f"option columns: {self.table} has no column {unknown[0]}; there are {', '.join(self.schema.names)}")
        if len(set(columns)) < len(columns):
            raise InputError(f"option columns: names a column twice: {', '.join(columns)}")
        return types.StructType([self.schema[name] for name in columns])

    def recipe(self, schema: types.StructType) -> Recipe:
        """What a task needs. Raises `InputError` if the table has no such columns."""
        return Recipe(
            version=_populace.VERSION,
            digest=self.native.scenario_digest,
            name=self.native.name,
            text=self.native.scenario_yaml,
            engine=tuple(self.engine.items()),
            table=self.table,
            columns=_columns.chosen(self.own_schema, schema),
        )

    @functools.cached_property
    def is_fixed(self) -> bool:
        """Whether the table comes from the scenario alone: nobody's part has its rows too."""
        nobody = self.native.actors(0, 1, False).part(0, 2, None)
        return nobody.count(self.table) > 0

    def _rows_per_user(self) -> float:
        """About: from the first users."""
        users = min(_SAMPLE, self.users)
        return self.native.actors(0, users, False).count(self.table) / users

    def divide(self) -> list[list[Span]]:
        """The users of each partition. Partition K of N has the users of part K of `populace generate --parts N`."""
        if self.is_fixed:
            # Its rows are of no user: one partition makes them all.
            return [[(0, 1)]]
        users = sum(stop - start for start, stop in self.spans)
        partitions = self.partitions
        if partitions is None:
            partitions = max(1, round(users * self._rows_per_user() / ROWS_PER_PARTITION))
            partitions = min(partitions, max(1, users), _options.MOST_PARTITIONS)
        bounds = [users * part // partitions for part in range(partitions + 1)]
        return [_slice(self.spans, start, stop) for start, stop in zip(bounds, bounds[1:])]

    def portions(self, recipe: Recipe) -> list[list[Portion]]:
        """What each partition makes; where rows are numbered, they are counted here, on all cores."""
        parts = self.divide()
        before = self._rows_before(parts) if self._sees_numbers(recipe) else {}
        return [[Portion(start, stop, before.get(start)) for start, stop in spans] for spans in parts]

    def _sees_numbers(self, recipe: Recipe) -> bool:
        """Whether a wanted column counts the rows of the whole table."""
        return self.native.has_numbers(self.table, recipe.columns.names)

    def _rows_before(self, parts: list[list[Span]]) -> dict[int, int]:
        """Rows before each span, by the user that it starts with."""
        counter = _populace.Run.plan(self.native.name, self.native.scenario_yaml, {**self.engine, "threads": None})
        if len(self.spans) == 1 and self.spans[0][0] < self.spans[0][1]:
            counts = counter.actors(*self.spans[0], False).rows_before(len(parts))
            return {spans[0][0]: count for spans, count in zip(parts, counts or []) if spans}
        starts = {start for spans in parts for start, _ in spans}
        return {start: (counter.actors(start, start + 1, False).rows_before(1) or [0])[0] for start in starts}

    def narrow(self, spans: list[Span]) -> None:
        """Leaves out the users outside `spans`, which are apart and in order."""
        if len(spans) > _MOST_SPANS:
            spans = [(spans[0][0], spans[-1][1])]
        self.spans = [
            (max(start, low), min(stop, high)) for start, stop in self.spans for low, high in spans if max(start, low) < min(stop, high)
        ]
        if self.partitions is not None:
            self.partitions = min(self.partitions, max(1, sum(stop - start for start, stop in self.spans)))

    @functools.cached_property
    def ids(self) -> Ids | None:
        """How users are called in the table, if its rows say whose they are."""
        column = self.native.actor_column(self.table)
        return None if column is None or self.is_fixed else Ids.of(self, column)


def _slice(spans: list[Span], start: int, stop: int) -> list[Span]:
    """The users from the `start`-th to the `stop`-th of those in `spans`."""
    found, passed = [], 0
    for low, high in spans:
        begin, end = max(low, low + start - passed), min(high, low + stop - passed)
        if begin < end:
            found.append((begin, end))
        passed += high - low
    return found


class Ids(NamedTuple):
    """Users by what they are called in a column: numbers that rise by one, or text that ends with such a number."""

    plan: Plan
    column: str
    offset: int
    is_text: bool

    @classmethod
    def of(cls, plan: Plan, column: str) -> Ids | None:
        """`None` if users are called otherwise."""
        names = [_name(plan, column, user) for user in (0, plan.users - 1)]
        first, last = map(_number, names)
        if first is None or last is None or last - first != plan.users - 1:
            return None
        return cls(plan, column, first, isinstance(names[0], str))

    def users(self, value: Any) -> list[Span] | None:
        """The user who is called so: one or none; `None` if that cannot be told."""
        number = _number(value)
        user = None if number is None else number - self.offset
        if user is None or not 0 <= user < self.plan.users:
            return []
        name = _name(self.plan, self.column, user)
        if name is None:
            return None
        return [(user, user + 1)] if name == value else []


def _number(name: Any) -> int | None:
    if isinstance(name, str):
        digits = re.fullmatch(r".*?([0-9]{1,18})", name, re.DOTALL)
        return int(digits[1]) if digits else None
    return name if isinstance(name, int) and not isinstance(name, bool) else None


def _name(plan: Plan, column: str, user: int) -> Any:
    """What a user is called in the first of its rows; `None` if it has none."""
    lines = plan.native.actors(user, user + 1, True).head(plan.table, 1)
    return json.loads(lines)[column] if lines else None
