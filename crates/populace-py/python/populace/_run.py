"""Runs: what makes them, and what they can do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from populace import _options, _populace, _types
from populace._errors import InputError
from populace._populace import Batch
from populace._scenario import Scenario
from populace._slots import kept
from populace._table import Bar, Table, shape

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from populace._analysis import Recovery, Verdicts
    from populace._result import Result
    from populace._score import Scorecard
    from populace.policy import Policy, Reward
    from populace.traces import WorkflowDefinition


class Truth:
    """The tables that hold what only the simulator knows, as attributes: `run.truth.messages`, or `run.truth["messages"]`."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Table:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._run._table(f"truth/{name}")

    def __getitem__(self, name: str) -> Table:
        return self._run[f"truth/{name}"]

    def __iter__(self) -> Iterator[str]:
        return (table.name for table in self._run.tables.values() if table.truth)

    def __contains__(self, name: object) -> bool:
        return f"truth/{name}" in self._run

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return f"<truth of {self._run.name}: {', '.join(self)}>"

    def _repr_html_(self) -> str:
        return _tables_html(f"truth of {self._run.name}", [self[name] for name in self])


def _tables_html(title: str, tables: list[Table]) -> str:
    import html

    rows = "".join(
        f"<tr><td><code>{table.path}</code></td><td>{html.escape(table.meaning)}</td><td>{html.escape(', '.join(table.column_names))}</td></tr>"
        for table in tables
    )
    return f"<p>{html.escape(title)}</p><table><tr><th>table</th><th>one row is</th><th>columns</th></tr>{rows}</table>"


class Run:
    """A run: a scenario under a seed. Its tables are attributes, `run.events`, `run.truth.messages`, and items, `run["truth/messages"]`.

    Nothing is generated until rows are asked for, and nothing is kept: each use makes the same rows again. `run.to_parquet(…)`
    writes them once; `populace.open` reads them. Runs are equal if their scenario, seed, users and tables are; a run that is
    generated is pickled as what defines it, one that was opened as its directory.

    >>> import pickle, populace as pp
    >>> run = pp.generate("email", users=20, seed=42)
    >>> pickle.loads(pickle.dumps(run)) == run, "events" in run, list(run.truth)
    (True, True, ['users', 'user_rates', 'messages', 'timing'])
    """

    def __init__(self, native: _populace.Run, progress: _types.Progress = None) -> None:
        self._native = native
        self._progress = progress
        self._kept: str | None = None
        self._slots: tuple[str, str] | None = None  # of a policy that is a table in memory: its file, and its text
        self._rows: str | None = None  # of a schedule in memory: its text
        self.tables: dict[str, Table] = {info[0]: Table(self, *info) for info in native.tables()}

    def _bar(self, what: str, progress: _types.Progress = None) -> Bar:
        return Bar(self._progress if progress is None else progress, self.num_users, what)

    def _files(self) -> str:
        """The directory of the run; one that is generated is written once, to a temporary one that goes with it."""
        if self.directory is not None:
            return self.directory
        if self._kept is None:
            import shutil
            import tempfile  # takes a third of the time of all other imports
            import weakref

            kept = tempfile.mkdtemp(prefix="populace-")
            # Without the warning that a TemporaryDirectory gives which nobody closes: nobody is to close a run.
            weakref.finalize(self, shutil.rmtree, kept, True)
            self._native.write(os.path.join(kept, "run"), {"format": "parquet", "compression": "lz4", "parquet": "compact"}, None)
            self._kept = kept
        return os.path.join(self._kept, "run")

    def __reduce__(self) -> tuple[Any, ...]:
        if self.directory is not None:
            return open, (self.directory,)
        return _restored, (type(self), self._native.name, self._native.scenario_yaml, self.seed, self._native.state(), self._slots, self._rows)

    def _definition(self) -> tuple[Any, ...]:
        _, tables, actors, _, count, marks, _ = self._native.state()
        return self.scenario_digest, self.seed, tuple(tables), actors, count, marks

    def __eq__(self, other: object) -> bool:
        return self._definition() == other._definition() if isinstance(other, Run) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._definition())

    def __contains__(self, path: object) -> bool:
        return path in self.tables

    def __iter__(self) -> Iterator[str]:
        """The paths of its tables."""
        return iter(self.tables)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.tables)

    def _table(self, path: str) -> Table:
        try:
            return self.tables[path]
        except KeyError:
            near = _options.near(path, self.tables)
            raise AttributeError(f"a run of {self.family} has no table {path}; there are {', '.join(self.tables)}{near}") from None

    def __getattr__(self, name: str) -> Table:
        if name.startswith("_") or name == "tables":
            raise AttributeError(name)
        return self._table(name)

    def __getitem__(self, path: str) -> Table:
        """A table by its path, such as `events` or `truth/messages`."""
        try:
            return self.tables[path]
        except KeyError:
            raise KeyError(f"{path}: there are {', '.join(self.tables)}{_options.near(path, self.tables)}") from None

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
        """What is odd about the scenario and the run."""
        count = self._native.state()[4]
        if count is None:
            return self._native.warnings
        cut = f"count={count} ends the run in the middle of its user {self.num_users:,}; events={count} makes about so many rows, of whole users"
        return [*self._native.warnings, cut]

    @property
    def expected(self) -> dict[str, Any]:
        """The volumes to expect, in closed form."""
        found: dict[str, Any] = json.loads(self._native.expected)
        return found

    @property
    def manifest(self) -> dict[str, Any] | None:
        """The manifest of a run that was opened; else `None`."""
        if self.directory is None:
            return None
        from pathlib import Path

        found: dict[str, Any] = json.loads(Path(self.directory, "manifest.json").read_text(encoding="utf-8"))
        return found

    @property
    def log(self) -> list[dict[str, Any]]:
        """When each process that wrote a part of an opened run finished, and how long it took; empty of a run that is generated."""
        from pathlib import Path

        log = Path(self.directory, "run.log") if self.directory is not None else None
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log is not None and log.exists() else []

    def _alike(self, native: _populace.Run) -> Run:
        """Some of the run."""
        run = Run(native, self._progress)
        run._slots, run._rows = self._slots, self._rows
        return run

    def actors(self, start: int, stop: int) -> Run:
        """The same run, of users `start` to `stop − 1` alone. Raises `InputError` outside the population."""
        start = _options.whole("start", start, 0, _options.MAX_SEED)
        stop = _options.whole("stop", stop, 0, _options.MAX_SEED)
        return self._alike(self._native.actors(start, stop, False))

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
        return self._alike(self._native.part(part, parts, before))

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
        return [None] * parts if before is None else list(before)

    def write(
        self,
        directory: _types.Path,
        *,
        format: _types.Format | None = None,
        compression: str | None = None,
        parquet: _types.ParquetTypes | None = None,
        ids: _types.Ids | None = None,
        parts: int = 1,
        order: _types.Order = "actor",
        row_group_rows: int | None = None,
        file_rows: int | None = None,
        overwrite: bool = False,
        resume: bool = False,
        progress: _types.Progress = None,
    ) -> Run:
        """Write the run as `populace generate -o directory` does, to the same bytes; give the run that is now there.

        `format` is parquet, csv, jsonl or arrow (default: the scenario's own), `compression` none, zstd, zstd:1 to zstd:19, snappy,
        lz4 or gzip, as the format knows it; `parquet` is portable (every reader knows its types) or compact; `ids` are text, which every
        reader knows, or in Parquet and Arrow uuid or binary. `parts` writes each table in so many files. `order` is actor or time.

        Raises `InputError` (the directory holds something else, an option is wrong), `FileError`, and `KeyboardInterrupt`, after which
        `resume=True` goes on from what was written.
        """
        target = _options.path("directory", directory)
        if self._slots is not None:
            raise InputError("policy: its slots are in memory, and the files name a file; write them with to_csv, and give replay that file")
        choices = {"format": (format, _types.Format), "parquet": (parquet, _types.ParquetTypes), "ids": (ids, _types.Ids), "order": (order, _types.Order)}
        options = {
            **{name: None if value is None else _options.choice(name, value, get_args(known)) for name, (value, known) in choices.items()},
            "compression": compression,
            "parts": _options.whole("parts", parts, 1, 100_000),
            "row_group_rows": _options.whole("row_group_rows", row_group_rows, 1_024, 16_777_216),
            "file_rows": _options.whole("file_rows", file_rows, 1_024, 2**63),
            "overwrite": overwrite,
            "resume": resume,
        }
        with self._bar(self.name, progress) as advance:
            self._native.write(target, options, advance)
        return open(target)

    def to_parquet(self, directory: _types.Path, **options: Unpack[_types.WriteOptions]) -> Run:
        """`write` as Parquet."""
        return self.write(directory, format="parquet", **options)

    def to_csv(self, directory: _types.Path, **options: Unpack[_types.WriteOptions]) -> Run:
        """`write` as CSV."""
        return self.write(directory, format="csv", **options)

    def to_jsonl(self, directory: _types.Path, **options: Unpack[_types.WriteOptions]) -> Run:
        """`write` as JSON Lines."""
        return self.write(directory, format="jsonl", **options)

    def verify(self, *, scenario: _types.Path | None = None, alpha: float | None = None, **options: Unpack[_types.ReadingOptions]) -> Verdicts:
        """`populace.verify` of it."""
        from populace._analysis import verify

        return verify(self, scenario=scenario, alpha=alpha, **options)

    def recover(self, *, scenario: _types.Path | None = None, level: float | None = None, **options: Unpack[_types.ReadingOptions]) -> Recovery:
        """`populace.recover` of it."""
        from populace._analysis import recover

        return recover(self, scenario=scenario, level=level, **options)

    def report(
        self, path: _types.Path | None = None, *, other: Run | _types.Path | None = None, verify: bool = True, **options: Unpack[_types.ReadingOptions]
    ) -> Result:
        """`populace.report` of it, or of it and an `other` run of its family side by side."""
        if isinstance(path, Run):
            raise TypeError("path: must be that of the page; give another run as other=, or call compare(other)")
        from populace._analysis import report

        return report(self, path, other=other, verify=verify, **options)

    def compare(self, other: Run | _types.Path, path: _types.Path | None = None, **options: Unpack[_types.ReadingOptions]) -> Result:
        """The figures of it and another run of its family side by side, each with the difference in standard errors; with `path`, which ends
        in .html, the page is written there and the figures beside it.

        >>> import populace as pp
        >>> more = pp.generate("churn", users=50, seed=1, paid_ratio=0.9)
        >>> users = pp.generate("churn", users=50, seed=1).compare(more)["facts"][0]
        >>> users["name"], users["value"], users["other"]["value"]
        ('users', 50.0, 50.0)
        """
        return self.report(path, other=other, verify=False, **options)

    def score(
        self,
        task: _types.Task,
        predictions: Any,
        *,
        subset: bool = False,
        ranks: bool = False,
        rows: _types.Path | None = None,
        alpha: float | None = None,
        as_of: _types.Date = None,
        threads: int | None = None,
        progress: _types.Reading = None,
        reading: Mapping[str, str] | None = None,
        **thresholds: float,
    ) -> Scorecard:
        """`populace.score` of predictions against its truth."""
        from populace._score import score

        return score(
            task, self, predictions, subset=subset, ranks=ranks, rows=rows, alpha=alpha, as_of=as_of, threads=threads, progress=progress,
            reading=reading, **thresholds,
        )  # fmt: skip

    def to_obp(
        self, *, target: Policy | None = None, reward: Reward = "open", start: _types.Date = None, threads: int | None = None,
        progress: _types.Reading = None,
    ) -> dict[str, Any]:  # fmt: skip
        """The decisions of its log as Open Bandit Pipeline takes them: `n_rounds`, `n_actions`, `context`, `action`, `position` (None),
        `reward`, `expected_reward`, `pscore`, `pi_b`; with a `target`, `action_dist`. See `populace.policy.to_obp`. Needs NumPy.
        """
        from populace.policy import to_obp

        return to_obp(self, target=target, reward=reward, start=start, threads=threads, progress=progress)

    def __repr__(self) -> str:
        where = f", in {self.directory}" if self.directory else ""
        return f"<Run of {self.name}: {self.num_users:,} users, seed {self.seed}{where}; {', '.join(self.tables)}>"

    def _repr_html_(self) -> str:
        return _tables_html(f"{self.name}, {self.num_users:,} users, seed {self.seed}", list(self.tables.values()))


class Replay(Run):
    """The rows of one user, as a run of that user alone."""

    def to_json_lines(self) -> str:
        """Every row as a line of JSON that names its table, as `populace replay` prints them."""
        return self._native.json_lines()


def _restored(kind: type[Run], name: str, text: str, seed: int, state: Any, slots: tuple[str, str] | None, rows: str | None) -> Run:
    if slots is not None:
        path, table = slots
        slots = (kept(table), table)
        text = text.replace(path, slots[0])
    if rows is not None:
        *others, (_, parent) = state
        state = (*others, (kept(rows), parent))
    run = kind(_populace.Run.restore(name, text, seed, state))
    run._slots, run._rows = slots, rows
    return run


def _plan(scenario: Any, **given: Any) -> _populace.Run:
    options: dict[str, Any] = {
        "seed": _options.seed(given.pop("seed", None), given.pop("random_state", None)),
        "threads": _options.whole("threads", given.pop("threads", None), 1, 1_024),
        "count": _options.whole("count", given.pop("count", None), 0, _options.MAX_SEED),
        "profile": given.pop("profile", None),
        "set": _options.settings(given.pop("set", None)),
        "truth": given.pop("truth", True),
        "tables": given.pop("tables", None),
        "schedule": given.pop("schedule", None),
        "parent": given.pop("parent", None),
    }
    events = _options.whole("events", given.pop("events", None), 1, 10**13)
    for keyword in _options.SHORTCUTS:
        options[keyword] = _options.shortcut(keyword, given.pop(keyword, None))
    components = [name for name, _ in _populace.components()]
    for name in components:
        options |= _options.component(name, given.pop(name, None))
    if given:
        unknown = next(iter(given))
        near = _options.near(unknown, [*options, *components, "random_state", "events"])
        raise TypeError(f"unknown option {unknown!r}{near or '; see help(populace.generate)'}")
    if isinstance(options["tables"], str):
        options["tables"] = [options["tables"]]

    def plan() -> _populace.Run:
        if isinstance(scenario, Mapping):
            return _populace.Run.plan(str(scenario.get("name", "scenario")), _options.document("scenario", scenario), options)
        return _populace.Run.plan(_options.path("scenario", scenario), None, options)

    if events is None:
        return plan()
    if options["users"] is not None or options["count"] is not None:
        raise InputError(f"events: cannot be used with {'users' if options['count'] is None else 'count'}")
    # What is expected of a user may depend on how many there are.
    for _ in range(2):
        options["users"] = str(max(1, round(events / plan().rows_per_user)))
    return plan()


@_options.keywords
def generate(
    scenario: _types.Path | Mapping[str, Any],
    *,
    users: int | None = None,
    events: int | None = None,
    days: int | None = None,
    start: _types.Date = None,
    seed: int | None = None,
    random_state: _types.RandomSource = None,
    profile: str | None = None,
    set: Mapping[str, Any] | None = None,
    truth: bool = True,
    tables: str | Sequence[str] | None = None,
    count: int | None = None,
    threads: int | None = None,
    progress: _types.Progress = None,
    workflow: _types.Path | Mapping[str, Any] | WorkflowDefinition | None = None,
    policy: _types.Path | Mapping[str, Any] | None = None,
    cascade_failure_rate: float | None = None,
    paid_ratio: float | None = None,
    churn_base_rate: float | None = None,
    target_churn_rate: float | None = None,
    latent: bool | None = None,
    names: str | None = None,
) -> Run:
    """A run of a scenario: a built-in one by name, a file, a dictionary or a `Scenario`.

    The options are those of `populace generate`: `users` and `days` (of the window that begins on `start`); `events` for as many users
    as have about so many rows of the main table; `seed`, or `random_state`
    (an integer, or a NumPy generator from which a seed is drawn), else the scenario's own, else one is drawn (`run.seed`); `profile`;
    `set`, single values by dotted path; and the shortcuts of the family: `workflow` (a file, a dictionary or a `WorkflowDefinition`) and
    `cascade_failure_rate` of traces; `paid_ratio`, `churn_base_rate`, `target_churn_rate` (shares from 0 to 1) and `latent` of churn;
    `names` of email, "sendgrid", "ses" or "mailgun": whose names the types of event have; and `policy` of email (a file, a dictionary
    or a built-in one: "explore", "one-hour", "oracle", "scheduled", "uniform").
    `truth=False` or `tables` leave tables out. `count` cuts the run off after so many rows of the main table, all of them of the first
    few users: for data of many users of about that size use `events`. `threads` is one a core by default and never changes a byte.
    `progress=True` shows tqdm's bar; a function is called with (users done, users in all).

    Raises `InputError` with every problem of the scenario in its place, and `TypeError` for what has the wrong type.

    >>> import populace as pp
    >>> run = pp.generate("email", users=20, seed=42)
    >>> run
    <Run of email: 20 users, seed 42; events, users, truth/users, truth/user_rates, truth/messages, truth/timing>
    >>> [row["event_type"] for row in run.events.head(3)]
    ['sent', 'delivered', 'sent']
    >>> pp.generate("churn", events=10_000, seed=42).num_users, pp.generate("churn", count=10_000, seed=42).events.count()
    (42, 10000)
    """
    native = _plan(
        scenario, users=users, events=events, days=days, start=start, seed=seed, random_state=random_state, profile=profile, set=set,
        truth=truth, tables=tables, count=count, threads=threads, workflow=workflow, policy=policy, cascade_failure_rate=cascade_failure_rate,
        paid_ratio=paid_ratio, churn_base_rate=churn_base_rate, target_churn_rate=target_churn_rate, latent=latent,
        names=names,
    )  # fmt: skip
    return Run(native, progress)


def stream(
    scenario: _types.Path | Mapping[str, Any],
    table: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    ids: _types.Ids = "text",
    text: _types.Text = "str",
    part: tuple[int, int] | None = None,
    progress: _types.Progress = None,
    **options: Unpack[_types.GenerateOptions],
) -> Iterator[Batch]:
    """The batches of one table (the main one unless another is named), made as they are taken, in bounded memory.

    Each batch has a few thousand rows and `__arrow_c_stream__`: `polars.DataFrame(batch)`, `pyarrow.record_batch(batch)`. `columns` are
    those wanted, in this order; `ids` and `text` as in `Table.batches`; `part=(k, n)` is part k (from 0) of n, see
    `Run.part`. The options are those of `generate`, whose exceptions it raises before the first batch.

    >>> import populace as pp
    >>> sum(len(batch) for batch in pp.stream("traces", users=100, seed=1))
    2276
    """
    types = shape(ids, text)
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
    return (run[path] if columns is None else run[path].select(*columns))._batches(types)


def replay(
    scenario: Run | _types.Path | Mapping[str, Any], *, actor: int, seed: int | None = None, **options: Unpack[_types.ReplayOptions]
) -> Replay:
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
            raise InputError("seed: the scenario has no seed of its own; give the seed of the run")
        native = _plan(scenario, seed=seed, **options)
    number = _options.whole("actor", actor, 0, 2**63)
    return Replay(native.actors(number, number + 1, True))


def _own_seed(scenario: Any) -> int | None:
    """The seed that a scenario has of its own."""
    source = scenario if isinstance(scenario, Mapping) else Scenario.load(scenario)
    return source.get("seed")


def open(directory: _types.Path) -> Run:
    """The run in a directory, written by `Run.write` or `populace generate`, whatever its format; its frames are those of the run as
    it is generated.

    Raises `InputError` if the directory holds no complete run, or its files are not those of its manifest.
    """
    return Run(_populace.Run.open(os.path.abspath(_options.path("directory", directory))))
