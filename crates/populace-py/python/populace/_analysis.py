"""What is made of a run: the answer key, scores, reports, prepared tables."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from populace import _options, _populace
from populace._errors import CheckFailed, InputError
from populace._run import Run, _plan


class Result(dict):
    """A result as a dictionary, with the keys of the command's JSON."""

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """As JSON; written to `path` if one is given."""
        text = json.dumps(self, indent=2, ensure_ascii=False)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text + "\n")
        return text


def _html(value: Any) -> str:
    import html

    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else html.escape(str(value))


def _table(rows: list[Mapping[str, Any]], columns: list[str]) -> str:
    head = "".join(f"<th>{_html(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{_html(row.get(column))}</td>" for column in columns) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


class Verdicts(Result):
    """The verdicts of `verify`: `checks` is a list of claims, each with `verdict` pass, fail or skipped."""

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return self["failed"] == 0

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The checks that failed."""
        return [check for check in self["checks"] if check["verdict"] == "fail"]

    def raise_for_failure(self) -> None:
        """Raise `CheckFailed` if a check failed."""
        if not self.ok:
            raise CheckFailed("; ".join(f"{check['name']}: {check['observed']}, expected {check['expected']}" for check in self.failures))

    def __repr__(self) -> str:
        return f"<Verdicts on {self['scenario']}: {self['passed']} passed, {self['failed']} failed, {self['skipped']} skipped>"

    def _repr_html_(self) -> str:
        return f"<p>{_html(repr(self)[1:-1])}</p>" + _table(self["checks"], ["verdict", "group", "name", "n", "observed", "expected", "p_value"])


class Scorecard(Result):
    """The scorecard of `score`: `columns` has the model, the ceilings and the base line, each with its metrics."""

    @property
    def ok(self) -> bool:
        """Whether everything that was required holds."""
        return all(verdict["passed"] for verdict in self["verdicts"] if verdict["required"])

    def raise_for_failure(self) -> None:
        """Raise `CheckFailed` if a threshold was missed."""
        failed = [f"{v['name']}, and is {v['value']:.4f}" for v in self["verdicts"] if v["required"] and not v["passed"]]
        if failed:
            raise CheckFailed("; ".join(failed))

    def metric(self, name: str, predictor: str = "model") -> float:
        """The value of a metric. Raises `KeyError` if there is none of that name."""
        for column in self["columns"]:
            if column["predictor"] == predictor:
                return column["metrics"][name]["value"]
        raise KeyError(predictor)

    def __repr__(self) -> str:
        return f"<Scorecard of {self['task']} on {self['run']['scenario']}: {self['n']:,} predictions>"

    def _repr_html_(self) -> str:
        names = [metric["name"] for metric in self["metrics"]]
        rows = [
            {"": column["predictor"], **{name: (column["metrics"].get(name) or {}).get("value") for name in names}}
            for column in self["columns"]
        ]
        notes = "".join(f"<li>{_html(note)}</li>" for note in self["notes"])
        return f"<p>{_html(repr(self)[1:-1])}</p>" + _table(rows, ["", *names]) + f"<ul>{notes}</ul>"


def _scratch() -> Any:
    import tempfile  # takes a third of the time of all other imports

    return tempfile.TemporaryDirectory(prefix="populace-")


@contextmanager
def _directory(run: Any, tables: list[str] | None = None) -> Iterator[str]:
    """The directory of a run; one that is generated is written to a temporary one."""
    if isinstance(run, Run):
        if run.directory is not None:
            yield run.directory
            return
        with _scratch() as scratch:
            target = os.path.join(scratch, "run")
            run.write(target, format="parquet")
            yield target
        return
    yield _options.path("run", run)


def _files(reading: Mapping[str, str] | None) -> dict[str, str]:
    """How files are read that are no run: the options `map`, `time_unit`, `dates`, `utc_offset` and `decimal` of the command."""
    known = ("map", "time_unit", "dates", "utc_offset", "decimal")
    reading = dict(reading or {})
    unknown = sorted(set(reading) - set(known))
    if unknown:
        raise InputError(f"reading: there is no option {unknown[0]}; there are {', '.join(known)}")
    return {name: str(os.fspath(value)) if isinstance(value, os.PathLike) else str(value) for name, value in reading.items()}


def _reading(
    threads: int | None, progress: Callable[[int], object] | None, reading: Mapping[str, str] | None = None, **options: Any
) -> dict[str, Any]:
    """Options of what reads a run on several threads. `progress` is called with the number of rows that were read."""
    if progress is not None and not callable(progress):
        raise TypeError(f"progress: must be callable, got {progress!r}")
    return {"threads": _options.whole("--threads", threads, 1, 1024), "progress": progress, **_files(reading), **options}


def verify(
    run: Run | str | os.PathLike[str],
    *,
    scenario: str | os.PathLike[str] | None = None,
    alpha: float | None = None,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
    reading: Mapping[str, str] | None = None,
) -> Verdicts:
    """Hold the data of a run, or of a directory, against the laws of its scenario, or of another: `populace verify`.

    The truth tables are not read. `alpha` is the probability that sound data fails anywhere (default 1e-4). A run that is generated is
    written to a temporary directory first. `threads` read the data (default: one a core); `progress` is called with the number of rows that
    were read.

    Raises `InputError` if a table or column is missing, `FileError` if a file cannot be read.
    """
    name = None if scenario is None else _options.path("scenario", scenario)
    with _directory(run) as directory:
        return Verdicts(json.loads(_populace.verify_run(directory, name, _options.number("alpha", alpha), _reading(threads, progress, reading))))


def score(
    task: str,
    run: Run | str | os.PathLike[str],
    predictions: Any,
    *,
    subset: bool = False,
    ranks: bool = False,
    rows: str | os.PathLike[str] | None = None,
    alpha: float | None = None,
    as_of: Any = None,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
    reading: Mapping[str, str] | None = None,
    **thresholds: float,
) -> Scorecard:
    """Grade predictions against the truth of a run, and against the best that any model could do: `populace score`.

    `task` is open, click, send_time, latency, transitions or one of churn's. `predictions` is a file, or anything that Arrow can be had from: a data frame,
    a table, a dictionary of columns; the guide of score says which columns each task takes. `subset` accepts predictions of a part;
    `ranks` says that scores are no probabilities; `rows` writes each row with its label; `alpha` and `as_of` are those of the command.
    Thresholds are `min_auc=.7`, `max_log_loss=.5`
    and so on; see `Scorecard.ok`.

    Raises `InputError` for predictions that are unknown, missing, repeated or not finite.
    """
    options = _reading(
        threads,
        progress,
        reading,
        subset=subset,
        ranks=ranks,
        rows=None if rows is None else _options.path("rows", rows),
        alpha=_options.number("alpha", alpha),
        as_of=_options.date("--as-of", as_of),
        thresholds=[(name, _options.number(name, bound)) for name, bound in thresholds.items()],
    )
    with _directory(run) as directory, _scratch() as scratch:
        if isinstance(predictions, (str, os.PathLike)):
            file = _options.path("predictions", predictions)
        else:
            file = os.path.join(scratch, "predictions.parquet")
            _populace.write_parquet(_arrow(predictions), file)
        try:
            return Scorecard(json.loads(_populace.score_run(_options.text("task", task), directory, file, options)))
        except InputError as error:
            shown = str(error).replace(os.path.join(scratch, "predictions.parquet"), "predictions")
            raise InputError(shown) from None


def _arrow(data: Any) -> Any:
    """Something with `__arrow_c_stream__`."""
    if hasattr(data, "__arrow_c_stream__"):
        return data
    if isinstance(data, Mapping):
        try:
            import pyarrow
        except ImportError:
            raise ImportError("predictions in a dictionary need pyarrow: pip install pyarrow; or give a data frame or a file") from None
        try:
            return pyarrow.table(dict(data))
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"predictions: {error}") from None
    raise TypeError(f"predictions: must be a file, a data frame or a dictionary of columns, got {type(data).__name__}")


def prepare_churn(
    raw: Run | str | os.PathLike[str],
    processed: str | os.PathLike[str],
    *,
    format: str = "csv",
    keep_latent: bool = False,
    start: Any = None,
    end: Any = None,
    overwrite: bool = False,
    reading: Mapping[str, str] | None = None,
) -> Result:
    """Make `users_clean`, `events_clean` and `user_daily` of raw users and events: `populace prepare churn`.

    `start` and `end` bound the grid of days (both included). The report says how many rows were read, kept, repaired and dropped, and why.

    Raises `InputError`, `FileError`.
    """
    options = {
        "format": format,
        "keep_latent": keep_latent,
        "from": _options.date("--from", start),
        "to": _options.date("--to", end),
        "overwrite": overwrite,
        **_files(reading),
    }
    with _directory(raw) as directory:
        return Result(json.loads(_populace.prepare_churn(directory, _options.path("processed", processed), options)))


class Recovery(Result):
    """What a data set teaches: `estimates` has each parameter with its interval and its truth."""

    def __repr__(self) -> str:
        return f"<Recovery of {self['scenario']}: {len(self['estimates'])} parameters, {self['coverage']:.1%} covered>"

    def _repr_html_(self) -> str:
        rows = self["estimates"]
        return f"<p>{_html(repr(self)[1:-1])}</p>" + (_table(rows, list(rows[0])) if rows else "")


def recover(
    run: Run | str | os.PathLike[str],
    *,
    scenario: str | os.PathLike[str] | None = None,
    level: float | None = None,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
    reading: Mapping[str, str] | None = None,
) -> Recovery:
    """Estimate the parameters of a scenario from the data of a run, with intervals of `level` (default .95): `populace recover`.

    Raises `InputError`, `FileError`.
    """
    name = None if scenario is None else _options.path("scenario", scenario)
    with _directory(run) as directory:
        return Recovery(json.loads(_populace.recover_run(directory, name, _options.number("--level", level), _reading(threads, progress, reading))))


def effects(scenario: Any, **options: Any) -> dict[str, str]:
    """The effects of a scenario that a study can be planned for, with their meaning. The options are those of `generate`.

    >>> import populace as pp
    >>> "timing" in pp.effects("email")
    True
    """
    return dict(_populace.effects(_plan(scenario, **options)))


def plan(
    scenario: Any,
    detect: str,
    *,
    at: float | None = None,
    size: float | None = None,
    power: float = 0.9,
    alpha: float = 0.05,
    pilot_users: int | None = None,
    **options: Any,
) -> Result:
    """How many users and days a study needs to detect an effect, before generating: `populace plan`.

    `detect` is one of `effects`, a parameter of `recover`, or a transition FROM→TO. `at` is the value that is to be told from no effect, or
    `size` how far a factor is from 1, or by which share a level changes (default: the document's value). `power` is the probability of
    detecting it, `alpha` that of detecting what is not there. The other options are those of `generate`.

    Raises `InputError` for an effect that is unknown, or cannot be detected.
    """
    if not isinstance(detect, str):
        raise TypeError(f"detect: must be text, got {detect!r}")
    study = {
        "at": _options.number("--at", at),
        "size": _options.number("--size", size),
        "power": _options.number("--power", power),
        "alpha": _options.number("--alpha", alpha),
        "pilot_users": _options.whole("--pilot-users", pilot_users, 1, 10_000_000),
    }
    return Result(json.loads(_populace.plan_study(_plan(scenario, **options), detect, study)))


def report(
    run: Run | str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    *,
    verify: bool = True,
    scores: list[str | os.PathLike[str]] | None = None,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
    reading: Mapping[str, str] | None = None,
) -> Result:
    """Draw a report of a run: `populace report`. Gives its figures; with `path`, which ends in .html, the page is written there and the
    figures beside it, in a file that ends in .json.

    `verify` holds the data against its laws; `scores` are files of scorecards to show. Raises `InputError`, `FileError`, `OSError`.
    """
    target = None if path is None else _options.path("path", path)
    if target is not None and not target.endswith(".html"):
        raise InputError(f"{target}: must end in .html; the figures go beside it, to a file that ends in .json")
    files = [_options.path("scores", score) for score in scores or []]
    with _directory(run) as directory:
        page, figures = _populace.report_run(directory, verify, files, _reading(threads, progress, reading))
    if target is not None:
        for name, text in ((target[: -len(".html")] + ".json", figures), (target, page)):
            with open(name + ".partial", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name + ".partial", name)
    return Result(json.loads(figures))


def features(
    run: Run | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    as_of: Any = None,
    curve: str = "minute",
    format: str = "parquet",
    ngrams: list[int] | None = None,
    history: int | None = None,
    min_length: int | None = None,
    templates: list[str] | None = None,
    session_gap_minutes: float | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
    reading: Mapping[str, str] | None = None,
) -> Result:
    """Compute the features of the actors of a run, of recipients or of callers, into a directory: `populace features`.

    `as_of` is the moment at which features of recipients are computed, as text or `datetime` (default: of the last event), and `curve` how
    finely their click curves are written: "minute", "hour" (a fortieth of the size) or "none"; the rest is of callers: `templates` are endpoints by which paths are known, `session_gap_minutes` parts their sessions. `reading` says
    how files of your own are read, such as `{"map": "sendgrid", "time_unit": "s"}`. Gives the report. Raises `InputError`, `FileError`.
    """
    import datetime

    if isinstance(as_of, datetime.date):
        as_of = as_of.isoformat()
    options = _reading(
        threads,
        progress,
        reading,
        as_of=as_of,
        curve=curve,
        format=format,
        ngrams=None if ngrams is None else [_options.whole("ngrams", n, 0, 2**31) for n in ngrams],
        history=_options.whole("history", history, 1, 2**31),
        min_length=_options.whole("min_length", min_length, 1, 2**31),
        templates=templates,
        session_gap_minutes=session_gap_minutes,
        overwrite=overwrite,
    )
    with _directory(run) as directory:
        return Result(json.loads(_populace.features_run(directory, _options.path("output", output), options)))
