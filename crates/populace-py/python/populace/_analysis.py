"""What is made of a run: the answer key, reports, prepared tables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from populace import _options, _populace, _types
from populace._errors import CheckFailed, InputError
from populace._result import Result, directory, files, html, html_table, reading as _reading
from populace._run import Run, _plan

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Verdicts(Result):
    """The verdicts of `verify`: `checks` is a list of claims, each with `verdict` pass, fail or skipped."""

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return bool(self["failed"] == 0)

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
        return f"<p>{html(repr(self)[1:-1])}</p>" + html_table(self["checks"], ["verdict", "group", "name", "n", "observed", "expected", "p_value"])


@_options.keywords
def verify(
    run: Run | _types.Path,
    *,
    scenario: _types.Path | None = None,
    alpha: float | None = None,
    threads: int | None = None,
    progress: _types.Reading = None,
    reading: Mapping[str, str] | None = None,
) -> Verdicts:
    """Hold the data of a run, or of a directory, against the laws of its scenario, or of another: `populace verify`.

    The truth tables are not read. `alpha` is the probability that sound data fails anywhere (default 1e-4). A run that is generated is
    written to a temporary directory once. `threads` read the data (default: one a core); `progress=True` shows tqdm's bar, a function is
    called with the number of rows that were read.

    Raises `InputError` if a table or column is missing, `FileError` if a file cannot be read.
    """
    name = None if scenario is None else _options.path("scenario", scenario)
    with _reading("verify", threads, progress, reading) as options:
        return Verdicts(json.loads(_populace.verify_run(directory(run), name, _options.share("alpha", alpha), options)))


@_options.keywords
def prepare_churn(
    raw: Run | _types.Path,
    processed: _types.Path,
    *,
    format: _types.TableFormat = "csv",
    keep_latent: bool = False,
    start: _types.Date = None,
    end: _types.Date = None,
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
        "from": _options.date("start", start),
        "to": _options.date("end", end),
        "overwrite": overwrite,
        **files(reading),
    }
    return Result(json.loads(_populace.prepare_churn(directory(raw), _options.path("processed", processed), options)))


class Recovery(Result):
    """What a data set teaches: `estimates` has each parameter with its interval and its truth."""

    def __repr__(self) -> str:
        return f"<Recovery of {self['scenario']}: {len(self['estimates'])} parameters, {self['coverage']:.1%} covered>"

    def _repr_html_(self) -> str:
        rows = self["estimates"]
        return f"<p>{html(repr(self)[1:-1])}</p>" + (html_table(rows, list(rows[0])) if rows else "")


@_options.keywords
def recover(
    run: Run | _types.Path,
    *,
    scenario: _types.Path | None = None,
    level: float | None = None,
    threads: int | None = None,
    progress: _types.Reading = None,
    reading: Mapping[str, str] | None = None,
) -> Recovery:
    """Estimate the parameters of a scenario from the data of a run, with intervals of `level` (default .95): `populace recover`.

    Raises `InputError`, `FileError`.
    """
    name = None if scenario is None else _options.path("scenario", scenario)
    with _reading("recover", threads, progress, reading) as options:
        return Recovery(json.loads(_populace.recover_run(directory(run), name, _options.share("level", level), options)))


def effects(scenario: _types.Path | Mapping[str, Any], **options: Unpack[_types.GenerateOptions]) -> dict[str, str]:
    """The effects of a scenario that a study can be planned for, with their meaning. The options are those of `generate`.

    >>> import populace as pp
    >>> "timing" in pp.effects("email")
    True
    """
    return dict(_populace.effects(_plan(scenario, **options)))


def plan(
    scenario: _types.Path | Mapping[str, Any],
    detect: str,
    *,
    at: float | None = None,
    size: float | None = None,
    power: float = 0.9,
    alpha: float = 0.05,
    pilot_users: int | None = None,
    **options: Unpack[_types.GenerateOptions],
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
        "at": _options.number("at", at),
        "size": _options.number("size", size),
        "power": _options.number("power", power),
        "alpha": _options.number("alpha", alpha),
        "pilot_users": _options.whole("pilot_users", pilot_users, 1, 10_000_000),
    }
    return Result(json.loads(_populace.plan_study(_plan(scenario, **options), detect, study)))


@_options.keywords
def report(
    run: Run | _types.Path,
    path: _types.Path | None = None,
    *,
    other: Run | _types.Path | None = None,
    verify: bool = True,
    scores: Sequence[_types.Path] | None = None,
    policies: Sequence[_types.Path] | None = None,
    threads: int | None = None,
    progress: _types.Reading = None,
    reading: Mapping[str, str] | None = None,
) -> Result:
    """Draw a report of a run, or of it and an `other` run of its family side by side: `populace report`. Gives its figures; with `path`,
    which ends in .html, the page is written there and the figures beside it, in a file that ends in .json.

    `verify` holds the data against its laws; `scores` are files of scorecards to show, `policies` files of the values of
    policies and of evaluations, both of one run alone. Raises `InputError`, `FileError`, `OSError`.
    """
    target = None if path is None else _options.path("path", path)
    if target is not None and not target.endswith(".html"):
        raise InputError(f"{target}: must end in .html; the figures go beside it, to a file that ends in .json")
    cards = [_options.path("scores", score) for score in scores or []]
    results = [_options.path("policies", result) for result in policies or []]
    with _reading("report", threads, progress, reading) as options:
        against = None if other is None else directory(other)
        page, figures = _populace.report_run(directory(run), against, verify, (cards, results), options)
    if target is not None:
        for name, text in ((target[: -len(".html")] + ".json", figures), (target, page)):
            with open(name + ".partial", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name + ".partial", name)
    return Result(json.loads(figures))


@_options.keywords
def features(
    run: Run | _types.Path,
    output: _types.Path,
    *,
    as_of: _types.Date = None,
    curve: Literal["minute", "hour", "none"] = "minute",
    format: _types.TableFormat = "parquet",
    ngrams: list[int] | None = None,
    history: int | None = None,
    min_length: int | None = None,
    templates: list[str] | None = None,
    session_gap_minutes: float | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    progress: _types.Reading = None,
    reading: Mapping[str, str] | None = None,
) -> Result:
    """Compute the features of the actors of a run, of recipients or of callers, into a directory: `populace features`.

    `as_of` is the moment at which features of recipients are computed, as text or `datetime` (default: the end of the run's window, else the last event), and `curve` how
    finely their click curves are written: "minute", "hour" (a fortieth of the size) or "none"; the rest is of callers: `templates` are endpoints by which paths are known, `session_gap_minutes` parts their sessions. `reading` says
    how files of your own are read, such as `{"map": "sendgrid", "time_unit": "s"}`. Gives the report. Raises `InputError`, `FileError`.
    """
    wanted = dict(
        as_of=_options.moment("as_of", as_of),
        curve=curve,
        format=format,
        ngrams=None if ngrams is None else [_options.whole("ngrams", n, 0, 2**31) for n in ngrams],
        history=_options.whole("history", history, 1, 2**31),
        min_length=_options.whole("min_length", min_length, 1, 2**31),
        templates=templates,
        session_gap_minutes=session_gap_minutes,
        overwrite=overwrite,
    )
    with _reading("features", threads, progress, reading, **wanted) as options:
        return Result(json.loads(_populace.features_run(directory(run), _options.path("output", output), options)))
