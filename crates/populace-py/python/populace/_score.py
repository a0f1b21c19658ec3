"""Predictions held against the truth of a run: scorecards, labels with their ceilings, scorers for scikit-learn."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from populace import _options, _populace, _predictions, _types
from populace._errors import CheckFailed, InputError
from populace._result import Result, directory, html, html_table
from populace._result import reading as _reading
from populace._run import Run
from populace._run import open as open_run

if TYPE_CHECKING:
    import pandas


class Estimate(NamedTuple):
    """A value and its standard error; `None` where there is none."""

    value: float
    standard_error: float | None


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
        return self.estimate(name, predictor).value

    def estimate(self, name: str, predictor: str = "model") -> Estimate:
        """A metric with its standard error. Raises `KeyError` if there is none of that name."""
        for column in self["columns"]:
            if column["predictor"] == predictor:
                known = column["metrics"]
                if name not in known:
                    raise KeyError(f"{name}: there are {', '.join(known)}{_options.near(name, known)}")
                return Estimate(known[name]["value"], known[name].get("standard_error"))
        raise KeyError(f"{predictor}: there are {', '.join(column['predictor'] for column in self['columns'])}")

    def gain(self, ceiling: _types.Ceiling = "observable") -> Estimate:
        """The share of the attainable gain, (base − model) / (base − ceiling). Raises `KeyError` if the task has no such ceiling."""
        for gain in self["gains"]:
            if gain["ceiling"] == ceiling:
                return Estimate(gain["share"]["value"], gain["share"].get("standard_error"))
        raise KeyError(f"{ceiling}: there is a gain over {', '.join(gain['ceiling'] for gain in self['gains']) or 'no ceiling'}")

    def to_frame(self) -> pandas.DataFrame:
        """A row for each metric and predictor: `value`, `standard_error`. Needs pandas."""
        import pandas

        names = [metric["name"] for metric in self["metrics"]]
        rows = {
            (name, column["predictor"]): {"value": cell.get("value"), "standard_error": cell.get("standard_error")}
            for name in names
            for column in self["columns"]
            if (cell := column["metrics"].get(name))
        }
        index = pandas.MultiIndex.from_tuples(list(rows), names=["metric", "predictor"])
        return pandas.DataFrame(list(rows.values()), index=index, dtype=float)

    def by_group(self) -> pandas.DataFrame:
        """A row for each group, with its number of predictions and its figures. Needs pandas."""
        import pandas

        by = self["groups"][0]["by"] if self["groups"] else "group"
        rows = [{by: group["name"], "n": group["n"], **group["values"]} for group in self["groups"]]
        return pandas.DataFrame(rows or {by: [], "n": []}).set_index(by)

    def __repr__(self) -> str:
        return f"<Scorecard of {self['task']} on {self['run']['scenario']}: {self['n']:,} predictions>"

    def _repr_html_(self) -> str:
        names = [metric["name"] for metric in self["metrics"]]
        rows = [
            {"": column["predictor"], **{name: (column["metrics"].get(name) or {}).get("value") for name in names}}
            for column in self["columns"]
        ]
        notes = "".join(f"<li>{html(note)}</li>" for note in self["notes"])
        return f"<p>{html(repr(self)[1:-1])}</p>" + html_table(rows, ["", *names]) + f"<ul>{notes}</ul>"


def score(
    task: _types.Task,
    run: Run | _types.Path,
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
    """Grade predictions against the truth of a run, and against the best that any model could do: `populace score`.

    `predictions` is a file, or anything that Arrow can be had from: a data frame, a table, a dictionary of columns; the guide of score says
    which columns each task takes. Or a Series whose index is the key (`message_id`, `user_id`, …); of transitions a matrix, or
    `{from: {to: probability}}`; of churn survival curves as lifelines gives them, a column for each user, the index days of the window from 0, or dates.
    `subset` accepts predictions of a part;
    `ranks` says that scores are no probabilities; `rows` writes each row with its label; `alpha` and `as_of` are those of the command.
    Thresholds are `min_auc=.7`, `max_log_loss=.5`
    and so on; see `Scorecard.ok`.

    Raises `InputError` for predictions that are unknown, missing, repeated or not finite.
    """
    import tempfile  # takes a third of the time of all other imports

    for name in thresholds:
        if not name.startswith(("min_", "max_")):
            known = ("subset", "ranks", "rows", "alpha", "as_of", "threads", "progress", "reading")
            raise TypeError(f"unknown option {name!r}{_options.near(name, known)}")
    wanted = dict(
        subset=subset,
        ranks=ranks,
        rows=None if rows is None else _options.path("rows", rows),
        alpha=_options.number("alpha", alpha),
        as_of=_options.date("as_of", as_of),
        thresholds=[(name, _options.number(name, bound)) for name, bound in thresholds.items()],
    )
    name_of_task = _options.choice("task", _options.text("task", task).replace("-", "_"), get_args(_types.Task))
    with _reading(f"score {name_of_task}", threads, progress, reading, **wanted) as options, tempfile.TemporaryDirectory(prefix="populace-") as scratch:
        if isinstance(predictions, (str, os.PathLike)):
            file = _options.path("predictions", predictions)
        else:
            file = os.path.join(scratch, "predictions.parquet")
            _populace.write_parquet(_predictions.arrow(name_of_task, predictions, lambda: known_until(run, as_of)), file)

        def named(text: str) -> str:
            return text.replace(os.path.join(scratch, "predictions.parquet"), "predictions")

        try:
            return Scorecard(json.loads(named(_populace.score_run(name_of_task, directory(run), file, options))))
        except InputError as error:
            raise InputError(named(str(error))) from None


def known_until(run: Run | _types.Path, as_of: _types.Date) -> tuple[datetime.date, int]:
    """The first day of a run of churn and, counted from it, the last day that is known: by default the one before anybody can churn."""
    scenario = (run if isinstance(run, Run) else open_run(run)).scenario
    start = datetime.date.fromisoformat(str(scenario["window"]["start"]))
    given = _options.date("as_of", as_of)
    if given is None:
        return start, scenario["window"]["days"] // scenario["churn"]["first_day_divisor"] - 1
    return start, (datetime.date.fromisoformat(given) - start).days


@_options.keywords
def labels(task: _types.Task, run: Run | _types.Path, *, as_of: _types.Date = None) -> pandas.DataFrame:
    """What `score` holds predictions against: the label of each row and the probabilities of the ceilings, `p_observable` and `p_latent`.

    The index is the key: `message_id`, `event_id`, `user_id`, `call_id`. Of `send_time` the columns are the best minutes and what they are worth;
    of `latency` the label is in seconds. `as_of` is that of churn. Needs pandas and pyarrow.

    >>> import populace as pp
    >>> truth = pp.labels("churn", pp.generate("churn", users=200, seed=1))
    >>> list(truth), len(truth)
    (['label', 'p_observable', 'p_latent'], 200)
    """
    import tempfile

    import pandas

    source = run if isinstance(run, Run) else open_run(run)
    key, rows = _population(task, source)
    guess = pandas.DataFrame({key: rows, _predictions.value_of(task): 0 if task == "send_time" else 0.5})
    with tempfile.TemporaryDirectory(prefix="populace-") as scratch:
        file = os.path.join(scratch, "rows.csv")
        score(task, source, guess, rows=file, as_of=as_of)
        found = pandas.read_csv(file, dtype={key: rows.dtype}).set_index(key)
    return found.drop(columns=["score", "minute_of_week", "value"], errors="ignore")


def _population(task: str, run: Run) -> tuple[str, pandas.Series[Any]]:
    """The key of a task and its values in a run."""
    if task in ("open", "click", "machine_open", "latency"):
        events = run["events"].select("event_id", "message_id", "event_type", "user_agent").to_pandas()
        chosen = events.event_type == ("opened" if task in ("click", "machine_open") else "delivered")
        if task == "click":
            # A client that opens ahead says who it is, and of its users' opens nothing is asked.
            chosen &= events.user_agent.isin(list(run.scenario["user_agents"]))
        key = "event_id" if task == "machine_open" else "message_id"
        return key, events[key][chosen].drop_duplicates()
    tables = {"churn": ("users", "user_id"), "send_time": ("users", "recipient_id"), "anomaly": ("calls", "call_id")}
    if task not in tables:
        raise InputError(f"task: {task} has no labels by row{_options.near(task, [*tables, 'open', 'click', 'machine_open', 'latency'])}")
    table, key = tables[task]
    return key, run[table][key]
