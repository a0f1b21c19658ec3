"""Tables of a run, and how they become frames."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, overload

from populace import _options, _types
from populace._errors import InputError
from populace._populace import Batch

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    from populace._run import Run


class Column(NamedTuple):
    """A column of a table."""

    name: str
    type: str
    nullable: bool
    meaning: str


class Bar:
    """Progress: tqdm's bar, or calls of a function, of (done, total) where the total is known and of what is new where it is not."""

    def __init__(self, progress: Any, total: int | None, what: str, unit: str = "users") -> None:
        self.done, self.total = 0, total
        self.bar: Any = None
        self.call: Callable[..., object] | None = None
        if callable(progress):
            self.call = progress
        elif progress is True:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                raise ImportError("progress=True needs tqdm: pip install tqdm") from None
            self.bar = tqdm(total=total, desc=what, unit=f" {unit}", unit_scale=True)
        elif progress not in (None, False):
            raise TypeError(f"progress: must be True or callable, got {progress!r}")

    @property
    def callback(self) -> Callable[[int], object] | None:
        """What the engine calls."""
        return None if self.bar is None and self.call is None else self.advance

    def __enter__(self) -> Callable[[int], object] | None:
        return self.callback

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        if self.bar is not None:
            self.bar.close()

    def advance(self, new: int) -> None:
        self.done += new
        if self.call is not None:
            self.call(new) if self.total is None else self.call(self.done, self.total)
        if self.bar is not None:
            self.bar.update(new)
            if self.total is not None and self.done >= self.total:
                self.bar.close()


def shape(ids: str, text: str) -> tuple[str, bool]:
    """The types of ids, and whether text is a dictionary, for the engine."""
    _options.choice("ids", ids, get_args(_types.Ids))
    return ids, _options.choice("text", text, get_args(_types.Text)) == "category"


class Table:
    """A table of a run. Its rows are made, or read, whenever something takes them, in bounded memory.

    Any library that knows the Arrow PyCapsule interface takes it: `pyarrow.table(run.events)`, `polars.DataFrame(run.events)`,
    `duckdb.sql("from events")`. Ids and text come as text, times as microseconds in UTC, generated and opened alike. A progress function
    that raises stops such a library with the library's own error (`OSError` of pyarrow), which has the exception's class and message in
    its text; the methods of the table raise the exception itself.

    >>> import populace as pp
    >>> events = pp.generate("email", users=3, seed=42).events
    >>> events[["event_type", "recipient_id"]].head(1)
    [{'event_type': 'sent', 'recipient_id': 'synth_user_01000'}]
    >>> len(events) == events.count() and "event_type" in events
    True
    """

    def __init__(
        self, run: Run, path: str, truth: bool, meaning: str, columns: Sequence[tuple[str, str, bool, str]], chosen: list[str] | None = None
    ) -> None:
        self._run = run
        self._chosen = chosen
        self.path = path
        self.name = path.removeprefix("truth/")
        self.truth = truth
        self.meaning = meaning
        self.columns = [Column(*column) for column in columns]

    @property
    def column_names(self) -> list[str]:
        """The names of its columns, in order."""
        return [column.name for column in self.columns]

    @property
    def schema(self) -> pyarrow.Schema:
        """Its Arrow schema. Needs pyarrow."""
        return self._schema("text", "str")

    def _schema(self, ids: str, text: str) -> pyarrow.Schema:
        pyarrow = _pyarrow("schema")
        return pyarrow.schema(_Exported(self, ids, text))

    def select(self, *names: str) -> Table:
        """The table with some of its columns alone, in this order. Raises `InputError` if there is no such column.

        >>> import populace as pp
        >>> pp.generate("email", users=3, seed=42).events.select("event_type", "recipient_id").head(1)
        [{'event_type': 'sent', 'recipient_id': 'synth_user_01000'}]
        """
        known = {column.name: column for column in self.columns}
        if len(names) == 1 and isinstance(names[0], (list, tuple)):
            names = tuple(names[0])
        for name in names:
            if name not in known:
                raise InputError(f"columns: {self.path} has no column {name}; there are {', '.join(known)}")
        if not names or len({*names}) < len(names):
            raise InputError(f"columns: must be different names, at least one, got {', '.join(names)}")
        return Table(self._run, self.path, self.truth, self.meaning, [known[name] for name in names], list(names))

    @overload
    def __getitem__(self, key: str) -> pandas.Series[Any]: ...
    @overload
    def __getitem__(self, key: list[str]) -> Table: ...
    def __getitem__(self, key: Any) -> Any:
        """A column as a pandas Series by its name; the table of some columns by a list of names."""
        if isinstance(key, str):
            if key not in self:
                raise KeyError(f"{key}: {self.path} has the columns {', '.join(self.column_names)}{_options.near(key, self.column_names)}")
            return self.select(key).to_pandas()[key]
        if isinstance(key, (list, tuple)) and all(isinstance(name, str) for name in key):
            return self.select(*key)
        raise TypeError(f"{self.path}[…] takes a column's name or a list of names; for rows call head(n), sample(n), to_pandas() or lazy()")

    def __contains__(self, name: object) -> bool:
        return name in self.column_names

    def _ipython_key_completions_(self) -> list[str]:
        return self.column_names

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return (self.path, self.column_names) == (other.path, other.column_names) and self._run == other._run

    def __hash__(self) -> int:
        return hash((self.path, *self.column_names))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return _Exported(self, "text", "str").__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return _Exported(self, "text", "str").__arrow_c_schema__()

    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError(f"a table has columns of many types; call to_pandas(), and to_numpy() of the columns you need ({self.path})")

    def __iter__(self) -> Iterator[Batch]:
        """As `batches`."""
        return self.batches()

    def batches(self, *, ids: _types.Ids = "text", text: _types.Text = "str") -> Iterator[Batch]:
        """Its batches, a few thousand rows each, made as they are taken.

        Each has `__arrow_c_stream__` and `__arrow_c_array__` (so `pyarrow.record_batch(batch)` takes it), `column_names`, `nbytes` and a
        length. `ids` are text of 36 characters, `"uuid"` or `"binary"` of 16 bytes; `text="category"` has text as Arrow dictionaries.
        """
        return self._batches(shape(ids, text))

    def _batches(self, types: tuple[str, bool]) -> Iterator[Batch]:
        with self._run._bar(self.path) as advance:
            batches = self._run._native.batches(self.path, types, advance, self._chosen)
            try:
                yield from batches
            finally:
                batches.close()

    def count(self, *, progress: _types.Progress = None) -> int:
        """The number of its rows: of a run in files from its manifest, else by making and counting them. `len` is the same."""
        with self._run._bar(self.path, progress) as advance:
            return self._run._native.count(self.path, advance)

    def head(self, rows: int = 5) -> list[dict[str, Any]]:
        """Its first rows as dictionaries. Times are text in ISO 8601, UUIDs text."""
        count = _options.whole("rows", rows, 0, 1_000_000)
        found = [json.loads(line) for line in self._run._native.head(self.path, count).splitlines()]
        return found if self._chosen is None else [{name: row[name] for name in self._chosen if name in row} for row in found]

    def sample(self, n: int, seed: int | None = None) -> pandas.DataFrame:
        """`n` rows at random, in their order, each equally likely; all if there are fewer. Made in one pass. Needs pandas and pyarrow.

        Without a seed it is the run's own.
        """
        pyarrow = _pyarrow("sample")
        import numpy

        n = _options.whole("n", n, 0, 2**31)
        draws = numpy.random.default_rng(self._run.seed if seed is None else _options.whole("seed", seed, 0, _options.MAX_SEED))
        kept, keys = pyarrow.Table.from_batches([], schema=self.schema), numpy.empty(0)
        for batch in self.batches():
            new = draws.random(len(batch))
            chosen = numpy.flatnonzero(new < keys.max()) if 0 < n == len(keys) else numpy.arange(len(batch))
            if n and len(chosen):
                kept = pyarrow.concat_tables([kept, pyarrow.table(batch).take(chosen)])
                keys = numpy.append(keys, new[chosen])
                if len(keys) > n:
                    least = numpy.sort(numpy.argpartition(keys, n)[:n])
                    kept, keys = kept.take(least), keys[least]
        return self._pandas(kept, "str", "datetime64", "nullable")

    def to_arrow(self, *, ids: _types.Ids = "text", text: _types.Text = "str") -> pyarrow.Table:
        """All rows as a `pyarrow.Table`; `ids` and `text` as in `batches`. Needs pyarrow."""
        pyarrow = _pyarrow("to_arrow")
        return pyarrow.Table.from_batches(map(pyarrow.record_batch, self.batches(ids=ids, text=text)), schema=self._schema(ids, text))

    def to_pandas(
        self,
        *,
        ids: _types.Ids = "text",
        text: _types.Text = "str",
        dates: _types.Dates = "datetime64",
        integers: _types.Integers = "nullable",
    ) -> pandas.DataFrame:
        """All rows as a data frame, whose types depend on the table alone. Needs pandas and pyarrow.

        `ids` are text, `"uuid"` (objects) or `"binary"` (bytes). `text="category"` takes less memory; group by such columns with
        `observed=True`. `dates="object"` has `datetime.date`. Integers and truth values that may be missing are pandas' nullable types;
        with `integers="numpy"` they are doubles and objects.
        """
        _options.choice("dates", dates, get_args(_types.Dates))
        _options.choice("integers", integers, get_args(_types.Integers))
        return self._pandas(self.to_arrow(ids=ids, text=text), text, dates, integers)

    def _pandas(self, table: pyarrow.Table, text: str, dates: str, integers: str) -> pandas.DataFrame:
        try:
            import pandas
            import pyarrow
        except ImportError:
            raise ImportError("to_pandas needs pandas and pyarrow: pip install pandas pyarrow") from None
        nullable = {
            pyarrow.int16(): pandas.Int16Dtype(), pyarrow.int32(): pandas.Int32Dtype(), pyarrow.int64(): pandas.Int64Dtype(),
            pyarrow.bool_(): pandas.BooleanDtype(),
        }  # fmt: skip
        apart = [field.name for field in table.schema if field.nullable and field.type in nullable] if integers == "nullable" else []
        frame: pandas.DataFrame = table.drop_columns(apart).to_pandas(date_as_object=dates == "object", split_blocks=True)
        for name in apart:
            place = table.schema.get_field_index(name)
            kind: Any = nullable[table.schema.field(name).type]
            frame.insert(place, name, kind.__from_arrow__(table.column(name)))
        return frame

    def to_polars(self, *, ids: _types.Ids = "text", text: _types.Text = "str") -> polars.DataFrame:
        """All rows as a polars data frame; `ids` and `text` as in `batches`. Needs polars."""
        polars = _polars("to_polars")
        frames = [polars.DataFrame(batch) for batch in self.batches(ids=ids, text=text)]
        return polars.concat(frames, rechunk=True) if frames else polars.DataFrame(_Exported(self, ids, text))

    def lazy(self, *, ids: _types.Ids = "text", text: _types.Text = "str") -> polars.LazyFrame:
        """A polars `LazyFrame`: columns that a query does not need are not made, and its filter sees a batch at a time. Needs polars."""
        polars = _polars("lazy")
        from polars.io.plugins import register_io_source

        def source(columns: list[str] | None, predicate: Any, rows: int | None, _: int | None) -> Iterator[Any]:
            table = self if columns is None else self.select(*columns)
            for batch in table.batches(ids=ids, text=text):
                frame = polars.DataFrame(batch)
                if rows is not None:
                    frame = frame.head(rows)
                    rows -= frame.height
                yield frame if predicate is None else frame.filter(predicate)
                if rows == 0:
                    break

        first = next(self.batches(ids=ids, text=text), None)
        schema = polars.DataFrame(_Exported(self, ids, text) if first is None else first).schema
        return register_io_source(source, schema=schema)

    def to_parquet(self, path: _types.Path, *, ids: _types.Ids = "text") -> None:
        """Write its rows into one Parquet file, which appears when it is whole."""
        self._run._native.save(self.path, _options.path("path", path), False, shape(ids, "str"), self._chosen)

    def to_csv(self, path: _types.Path) -> None:
        """Write its rows into one CSV file, which appears when it is whole."""
        self._run._native.save(self.path, _options.path("path", path), True, shape("text", "str"), self._chosen)

    def __repr__(self) -> str:
        return f"<Table {self.path} of {self._run.name}: {self.meaning.lower()}; {', '.join(self.column_names)}>"

    def _repr_html_(self) -> str:
        import html

        rows = self.head(5)
        head = "".join(f'<th title="{html.escape(column.meaning)}">{html.escape(column.name)}</th>' for column in self.columns)

        def cell(value: object) -> str:
            return "" if value is None else html.escape(value if isinstance(value, str) else json.dumps(value))

        body = "".join("<tr>" + "".join(f"<td>{cell(row.get(name))}</td>" for name in self.column_names) + "</tr>" for row in rows)
        return f"<p><b>{self.path}</b>: {html.escape(self.meaning)}</p><table><tr>{head}</tr>{body}</table>"


class _Exported:
    """A table in certain types, for a library that knows the Arrow PyCapsule interface."""

    def __init__(self, table: Table, ids: str, text: str) -> None:
        self.table, self.types = table, shape(ids, text)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        advance = self.table._run._bar(self.table.path).__enter__()
        return self.table._run._native.capsule(self.table.path, self.types, requested_schema, advance, self.table._chosen)

    def __arrow_c_schema__(self) -> object:
        return self.table._run._native.schema_capsule(self.table.path, self.types, self.table._chosen)


def _pyarrow(what: str) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise ImportError(f"{what} needs pyarrow: pip install pyarrow") from None
    return pyarrow


def _polars(what: str) -> Any:
    try:
        import polars
    except ImportError:
        raise ImportError(f"{what} needs polars: pip install polars") from None
    return polars
