"""Runs and their tables."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from populace import _options, _populace
from populace._errors import InputError
from populace._scenario import Scenario

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

Progress = bool | Callable[[int, int], object] | None


class Column(NamedTuple):
    """A column of a table."""

    name: str
    type: str
    nullable: bool
    meaning: str


class _Bar:
    """Progress over the actors of a run: tqdm's bar, or calls of a function of (done, total)."""

    def __init__(self, progress: Progress, total: int, what: str) -> None:
        self.done, self.total, self.bar, self.call = 0, total, None, None
        if callable(progress):
            self.call = progress
        elif progress:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                raise ImportError("progress=True needs tqdm: pip install tqdm") from None
            self.bar = tqdm(total=total, desc=what, unit=" users", unit_scale=True)

    @property
    def callback(self) -> Callable[[int], object] | None:
        return None if self.bar is None and self.call is None else self.advance

    def advance(self, actors: int) -> None:
        self.done += actors
        if self.call is not None:
            self.call(self.done, self.total)
        if self.bar is not None:
            self.bar.update(actors)
            if self.done >= self.total:
                self.bar.close()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class Table:
    """A table of a run. Its rows are made, or read, whenever something takes them, in bounded memory.

    Any library that knows the Arrow PyCapsule interface takes it without a copy: `pyarrow.table(run.events)`,
    `polars.DataFrame(run.events)`, `duckdb.sql("from events")`. Text comes as dictionaries, times as microseconds in UTC.
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

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        bar = self._run._bar(self.path)
        return self._run._native.capsule(self.path, requested_schema, bar.callback, self._chosen)

    def __arrow_c_schema__(self) -> object:
        return self._run._native.schema_capsule(self.path, self._chosen)

    def __iter__(self) -> Iterator[Any]:
        """As `batches`."""
        return self.batches()

    def batches(self, *, text: bool = False) -> Iterator[Any]:
        """Its batches, a few thousand rows each, made as they are taken.

        Each has `__arrow_c_stream__` and `__arrow_c_array__` (so `pyarrow.record_batch(batch)` takes it), `column_names`, `nbytes` and a
        length. `text=True` has text columns as text instead of as dictionaries, for readers that do not know these.
        """
        bar = self._run._bar(self.path)
        batches = self._run._native.batches(self.path, bar.callback, self._chosen, text)
        try:
            yield from batches
        finally:
            batches.close()
            bar.close()

    def count(self) -> int:
        """The number of its rows: of a run in files from its manifest, else by making and counting them."""
        return self._run._native.count(self.path)

    def head(self, rows: int = 5) -> list[dict[str, Any]]:
        """Its first rows as dictionaries. Times are text in ISO 8601, UUIDs text."""
        count = _options.whole("rows", rows, 0, 1_000_000)
        found = [json.loads(line) for line in self._run._native.head(self.path, count).splitlines()]
        return found if self._chosen is None else [{name: row[name] for name in self._chosen if name in row} for row in found]

    def to_arrow(self) -> pyarrow.Table:
        """All rows as a `pyarrow.Table`. Needs pyarrow."""
        try:
            import pyarrow
        except ImportError:
            raise ImportError("to_arrow and to_pandas need pyarrow: pip install pyarrow") from None
        try:
            return pyarrow.RecordBatchReader.from_stream(self).read_all()
        except OSError:
            # What came through the stream as an error was Ctrl-C, which Python raises as soon as it gets to.
            for _ in range(3):
                pass
            raise

    def to_pandas(self, **options: Any) -> pandas.DataFrame:
        """All rows as a data frame; text columns are categories. Needs pandas and pyarrow; `options` go to pyarrow's `to_pandas`."""
        return self.to_arrow().to_pandas(**options)

    def to_polars(self) -> polars.DataFrame:
        """All rows as a polars data frame. Needs polars."""
        try:
            import polars
        except ImportError:
            raise ImportError("to_polars needs polars: pip install polars") from None
        try:
            return polars.DataFrame(self)
        except polars.exceptions.ComputeError:
            # As above.
            for _ in range(3):
                pass
            raise

    def __repr__(self) -> str:
        return f"<Table {self.path} of {self._run.name}: {self.meaning.lower()}; {', '.join(self.column_names)}>"

    def _repr_html_(self) -> str:
        import html

        rows = self.head(5)
        head = "".join(f'<th title="{html.escape(column.meaning)}">{html.escape(column.name)}</th>' for column in self.columns)
        cell = lambda value: "" if value is None else html.escape(value if isinstance(value, str) else json.dumps(value))
        body = "".join("<tr>" + "".join(f"<td>{cell(row.get(name))}</td>" for name in self.column_names) + "</tr>" for row in rows)
        return f"<p><b>{self.path}</b>: {html.escape(self.meaning)}</p><table><tr>{head}</tr>{body}</table>"


class Truth:
    """The tables that hold what only the simulator knows, as attributes: `run.truth.messages`."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Table:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._run._table(f"truth/{name}")

    def __dir__(self) -> list[str]:
        return [table.name for table in self._run.tables.values() if table.truth]

    def __repr__(self) -> str:
        return f"<truth of {self._run.name}: {', '.join(dir(self))}>"


class Run:
    """A run: a scenario under a seed. Its tables are attributes: `run.events`, `run.truth.messages`.

    Nothing is generated until rows are asked for, and nothing is kept: each use makes the same rows again. `run.to_parquet(…)`
    writes them once; `populace.open` reads them.
    """

    def __init__(self, native: Any, progress: Progress = None) -> None:
        self._native = native
        self._progress = progress
        self.tables: dict[str, Table] = {path: Table(self, path, *rest) for path, *rest in native.tables()}

    def _bar(self, what: str) -> _Bar:
        return _Bar(self._progress, self.num_users, what)

    def _table(self, path: str) -> Table:
        try:
            return self.tables[path]
        except KeyError:
            raise AttributeError(f"a run of {self.family} has no table {path}; there are {', '.join(self.tables)}") from None

    def __getattr__(self, name: str) -> Table:
        if name.startswith("_") or name == "tables":
            raise AttributeError(name)
        return self._table(name)

    def __getitem__(self, path: str) -> Table:
        """A table by its path, such as `events` or `truth/messages`."""
        try:
            return self.tables[path]
        except KeyError:
            raise KeyError(f"{path}: there are {', '.join(self.tables)}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(table.name for table in self.tables.values() if not table.truth)]

    @property
    def truth(self) -> Truth:
        """What only the simulator knows."""
        return Truth(self)

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self._native.name

    @property
    def family(self) -> str:
        """The scenario's family: email, traces or churn."""
        return self._native.family

    @property
    def seed(self) -> int:
        """The seed; where none was given, the one that was drawn."""
        return self._native.seed

    @property
    def num_users(self) -> int:
        """Number of users."""
        return self._native.users

    @property
    def directory(self) -> str | None:
        """The directory that the run was opened from; `None` for one that is generated."""
        return None if self._native.directory is None else os.fspath(self._native.directory)

    @property
    def scenario(self) -> Scenario:
        """Its scenario, resolved."""
        return Scenario.from_yaml(self._native.scenario_yaml)

    @property
    def scenario_digest(self) -> str:
        """SHA-256 of what decides the data besides the seed."""
        return self._native.scenario_digest

    @property
    def warnings(self) -> list[str]:
        """What is odd about the scenario."""
        return self._native.warnings

    @property
    def expected(self) -> dict[str, Any]:
        """The volumes to expect, in closed form."""
        return json.loads(self._native.expected)

    @property
    def manifest(self) -> dict[str, Any] | None:
        """The manifest of a run that was opened; else `None`."""
        if self.directory is None:
            return None
        return json.loads(Path(self.directory, "manifest.json").read_text(encoding="utf-8"))

    @property
    def log(self) -> list[dict[str, Any]]:
        """When each process that wrote a part of an opened run finished, and how long it took; empty of a run that is generated."""
        log = Path(self.directory, "run.log") if self.directory is not None else None
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log is not None and log.exists() else []

    def actors(self, start: int, stop: int) -> Run:
        """The same run, of users `start` to `stop − 1` alone. Raises `InputError` outside the population."""
        start = _options.whole("start", start, 0, _options.MAX_SEED)
        stop = _options.whole("stop", stop, 0, _options.MAX_SEED)
        return Run(self._native.actors(start, stop, False), self._progress)

    def part(self, part: int, parts: int, *, rows_before: int | None = None) -> Run:
        """Part `part` (from 0) of `parts`: the rows of some users. The parts, one after another, are the run, row for row.

        Tables that come from the scenario alone (`truth/timing`) are in part 0. Where the rows of the main table are numbered (churn under
        `event_ids: sequential`), a part that begins in the middle counts the rows before it, which takes a fraction of the time of making
        them; `rows_before`, from the method of this name, spares it that.

        Raises `InputError` if there is no such part, or the run is read from files.

        >>> import populace as pp
        >>> run = pp.generate("traces", users=100, seed=1)
        >>> sum(run.part(k, 3).calls.count() for k in range(3)) == run.calls.count()
        True
        """
        part = _options.whole("part", part, 0, _options.MAX_SEED)
        parts = _options.whole("parts", parts, 1, _options.MAX_SEED)
        before = _options.whole("rows_before", rows_before, 0, 2**62)
        return Run(self._native.part(part, parts, before), self._progress)

    def rows_before(self, parts: int) -> list[int | None]:
        """How many rows of the main table come before each of `parts` parts, counted once; `None`s where rows have no numbers.

        >>> import populace as pp
        >>> run = pp.generate("churn", users=30, seed=1, set={"event_ids": "sequential"})
        >>> before = run.rows_before(2)
        >>> run.part(1, 2, rows_before=before[1]).events.head(1)[0]["event_id"] == before[1] + 1
        True
        """
        parts = _options.whole("parts", parts, 1, 10_000_000)
        before = self._native.rows_before(parts)
        return [None] * parts if before is None else before

    def write(
        self,
        directory: str | os.PathLike[str],
        *,
        format: str | None = None,
        compression: str | None = None,
        parquet: str | None = None,
        parts: int = 1,
        order: str = "actor",
        row_group_rows: int | None = None,
        file_rows: int | None = None,
        overwrite: bool = False,
        resume: bool = False,
        progress: Progress = None,
    ) -> Run:
        """Write the run as `populace generate -o directory` does, to the same bytes; give the run that is now there.

        `format` is parquet, csv, jsonl or arrow (default: the scenario's own), `compression` none, zstd, zstd:1 to zstd:19, snappy,
        lz4 or gzip, as the format knows it; `parquet` is portable (every reader knows its types) or compact. `parts` writes each table in so many files. `order` is actor or time.

        Raises `InputError` (the directory holds something else, an option is wrong), `FileError`, and `KeyboardInterrupt`, after which
        `resume=True` goes on from what was written.
        """
        target = _options.path("directory", directory)
        options = {
            "format": format,
            "compression": compression,
            "parquet": parquet,
            "parts": _options.whole("parts", parts, 1, 100_000),
            "order": order,
            "row_group_rows": _options.whole("row_group_rows", row_group_rows, 1_024, 16_777_216),
            "file_rows": _options.whole("file_rows", file_rows, 1_024, 2**63),
            "overwrite": overwrite,
            "resume": resume,
        }
        bar = _Bar(self._progress if progress is None else progress, self.num_users, self.name)
        try:
            self._native.write(target, options, bar.callback)
        finally:
            bar.close()
        return open(target)

    def to_parquet(self, directory: str | os.PathLike[str], **options: Any) -> Run:
        """`write` as Parquet."""
        return self.write(directory, format="parquet", **options)

    def to_csv(self, directory: str | os.PathLike[str], **options: Any) -> Run:
        """`write` as CSV."""
        return self.write(directory, format="csv", **options)

    def to_jsonl(self, directory: str | os.PathLike[str], **options: Any) -> Run:
        """`write` as JSON Lines."""
        return self.write(directory, format="jsonl", **options)

    def __repr__(self) -> str:
        where = f", in {self.directory}" if self.directory else ""
        return f"<Run of {self.name}: {self.num_users:,} users, seed {self.seed}{where}; {', '.join(self.tables)}>"

    def _repr_html_(self) -> str:
        import html

        rows = "".join(
            f"<tr><td><code>{table.path}</code></td><td>{html.escape(table.meaning)}</td><td>{html.escape(', '.join(table.column_names))}</td></tr>"
            for table in self.tables.values()
        )
        title = f"<b>{html.escape(self.name)}</b>, {self.num_users:,} users, seed {self.seed}"
        return f"<p>{title}</p><table><tr><th>table</th><th>one row is</th><th>columns</th></tr>{rows}</table>"


class Replay(Run):
    """The rows of one user, as a run of that user alone."""

    def to_json_lines(self) -> str:
        """Every row as a line of JSON that names its table, as `populace replay` prints them."""
        return self._native.json_lines()


def _plan(scenario: Any, **given: Any) -> Any:
    options: dict[str, Any] = {
        "seed": _options.seed(given.pop("seed", None), given.pop("random_state", None)),
        "threads": _options.whole("threads", given.pop("threads", None), 1, 1_024),
        "count": _options.whole("--count", given.pop("count", None), 0, _options.MAX_SEED),
        "profile": given.pop("profile", None),
        "set": _options.settings(given.pop("set", None)),
        "truth": given.pop("truth", True),
        "tables": given.pop("tables", None),
    }
    for keyword in _options.SHORTCUTS:
        options[keyword] = _options.shortcut(keyword, given.pop(keyword, None))
    for name, _ in _populace.components():
        options |= _options.component(name, given.pop(name, None))
    if given:
        raise TypeError(f"unknown option {next(iter(given))!r}; see help(populace.generate)")
    if isinstance(options["tables"], str):
        options["tables"] = [options["tables"]]
    if isinstance(scenario, Mapping):
        return _populace.Run.plan(str(scenario.get("name", "scenario")), _options.document("scenario", scenario), options)
    return _populace.Run.plan(_options.path("scenario", scenario), None, options)


def generate(
    scenario: str | os.PathLike[str] | Mapping[str, Any],
    *,
    users: int | None = None,
    days: int | None = None,
    start: Any = None,
    seed: int | None = None,
    random_state: Any = None,
    profile: str | None = None,
    set: Mapping[str, Any] | None = None,
    truth: bool = True,
    tables: list[str] | None = None,
    count: int | None = None,
    threads: int | None = None,
    progress: Progress = None,
    **shortcuts: Any,
) -> Run:
    """A run of a scenario: a built-in one by name, a file, a dictionary or a `Scenario`.

    The options are those of `populace generate`: `users` and `days` (of the window that begins on `start`); `seed`, or `random_state`
    (an integer, or a NumPy generator from which a seed is drawn), else the scenario's own, else one is drawn (`run.seed`); `profile`;
    `set`, single values by dotted path; and the shortcuts of the family: `workflow` (a file, a dictionary or a `WorkflowDefinition`) and
    `cascade_failure_rate` of traces; `paid_ratio`, `churn_base_rate`, `target_churn_rate` (shares from 0 to 1) and `latent` of churn.
    `truth=False` or `tables` leave tables out; `count` stops after so
    many rows of the main table. `threads` is one a core by default and never changes a byte. `progress=True` shows tqdm's bar; a function
    is called with (users done, users in all).

    Raises `InputError` with every problem of the scenario in its place, and `TypeError` for what has the wrong type.

    >>> import populace as pp
    >>> run = pp.generate("email", users=20, seed=42)
    >>> run
    <Run of email: 20 users, seed 42; events, users, truth/users, truth/user_rates, truth/messages, truth/timing>
    >>> [row["event_type"] for row in run.events.head(3)]
    ['sent', 'delivered', 'sent']
    """
    native = _plan(
        scenario, users=users, days=days, start=start, seed=seed, random_state=random_state, profile=profile, set=set, truth=truth,
        tables=tables, count=count, threads=threads, **shortcuts,
    )  # fmt: skip
    return Run(native, progress)


def stream(
    scenario: Any,
    table: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    text: bool = False,
    part: tuple[int, int] | None = None,
    progress: Progress = None,
    **options: Any,
) -> Iterator[Any]:
    """The batches of one table (the main one unless another is named), made as they are taken, in bounded memory.

    Each batch has a few thousand rows and `__arrow_c_stream__`: `polars.DataFrame(batch)`, `pyarrow.record_batch(batch)`. `columns` are
    those wanted, in this order; `text=True` has text as text instead of as dictionaries; `part=(k, n)` is part k (from 0) of n, see
    `Run.part`. The options are those of `generate`, whose exceptions it raises before the first batch.

    >>> import populace as pp
    >>> sum(len(batch) for batch in pp.stream("traces", users=100, seed=1))
    2276
    """
    run = Run(_plan(scenario, **options), progress)
    path = run._native.main_table if table is None else table
    run._native.check_table(path)
    if part is not None:
        try:
            this, parts = part
        except (TypeError, ValueError):
            raise TypeError(f"part: must be two integers, which and of how many, got {part!r}") from None
        run = run.part(this, parts)
    if isinstance(columns, str):
        raise TypeError(f"columns: must be a list of names, got {columns!r}")
    chosen = run[path] if columns is None else run[path].select(*columns)
    return chosen.batches(text=text)


def replay(scenario: Any, *, actor: int, seed: int | None = None, **options: Any) -> Replay:
    """The rows of one user, from 0, without generating the others; equal to those of the full run of the same seed.

    A column that counts the rows of the whole table (churn under `event_ids: sequential`) is left out. The options are those of
    `generate`.

    Raises `InputError` if there is no such user, or neither `seed` nor the scenario gives a seed.

    >>> import populace as pp
    >>> pp.replay("email", seed=42, actor=17).users.head()[0]["recipient_id"]
    'synth_user_01017'
    """
    if isinstance(scenario, Run):
        if seed is not None or options:
            raise InputError("a run has its seed and its options already; give the scenario to replay with others")
        # Files hold everybody; of one user alone the rows are made anew.
        native = scenario._native if scenario.directory is None else _plan(scenario.scenario, seed=scenario.seed)
    else:
        if seed is None and options.get("random_state") is None and _own_seed(scenario) is None:
            raise InputError("--seed: the scenario has no seed of its own; give the seed of the run")
        native = _plan(scenario, seed=seed, **options)
    actor = _options.whole("--actor", actor, 0, 2**63)
    return Replay(native.actors(actor, actor + 1, True))


def _own_seed(scenario: Any) -> int | None:
    """The seed that a scenario has of its own."""
    source = scenario if isinstance(scenario, Mapping) else Scenario.load(scenario)
    return source.get("seed")


def open(directory: str | os.PathLike[str]) -> Run:
    """The run in a directory, written by `Run.write` or `populace generate`, whatever its format.

    Text columns come as text. Raises `InputError` if the directory holds no complete run, or its files are not those of its manifest.
    """
    return Run(_populace.Run.open(os.path.abspath(_options.path("directory", directory))))
