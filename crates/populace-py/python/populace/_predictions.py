"""From what a model gives to the columns that a task's predictions have."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from populace._errors import InputError

KEYS = {
    "open": ("message_id",),
    "click": ("message_id",),
    "machine_open": ("event_id",),
    "latency": ("message_id",),
    "send_time": ("recipient_id",),
    "churn": ("user_id",),
    "anomaly": ("call_id", "session_id"),
}
VALUES = {"latency": "seconds", "send_time": "minute_of_week", "transitions": "probability"}


def value_of(task: str) -> str:
    """The column of the predicted value."""
    return VALUES.get(task, "score")


def arrow(task: str, data: Any, known_until: Callable[[], tuple[datetime.date, int]]) -> Any:
    """Predictions as something with `__arrow_c_stream__`.

    A Series is keyed by its index; a matrix or a dictionary of dictionaries has transitions; a frame whose columns are users and whose
    rows are days has survival curves, as lifelines gives them. `known_until` gives the first day of the window and, counted from it,
    the last day that is known: nobody whose curve is scored has churned by then.
    """
    data = _long(task, data, known_until)
    if hasattr(data, "__arrow_c_stream__"):
        return data
    try:
        import pyarrow
    except ImportError:
        raise ImportError("predictions in a dictionary need pyarrow: pip install pyarrow; or give a data frame or a file") from None
    if isinstance(data, Mapping):
        try:
            return pyarrow.table(dict(data))
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
            raise InputError(f"predictions: {error}") from None
    if type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns"):  # older than the Arrow interface
        return pyarrow.Table.from_pandas(data, preserve_index=False)
    raise TypeError(f"predictions: must be a file, a data frame, a Series or a dictionary of columns, got {type(data).__name__}")


def _long(task: str, data: Any, known_until: Callable[[], tuple[datetime.date, int]]) -> Any:
    keys = KEYS.get(task, ())
    if isinstance(data, Mapping):
        return _of_dictionary(task, keys, data)
    if type(data).__module__.partition(".")[0] != "pandas":
        return data
    if not hasattr(data, "columns"):  # a Series
        if task == "transitions":
            return data.rename_axis(["from", "to"]).rename("probability").reset_index() if data.index.nlevels == 2 else data
        key = data.index.name if data.index.name in keys else keys[0] if keys else "index"
        return data.rename_axis(key).rename(value_of(task)).reset_index()
    if task == "transitions":
        return data if {"from", "to"} <= {*data.columns} else _of_matrix(data)
    data = _renamed(data, (*keys, value_of(task), "survival", "day", "date"))
    if any(name in data.columns for name in keys):
        return data
    if data.index.name in keys:
        return data.reset_index()
    if task == "churn" and not {"score", "survival"} & {*data.columns}:
        return _of_curves(data, *known_until())
    return data


def _renamed(data: Any, wanted: tuple[str, ...]) -> Any:
    """The frame with the names of files of predictions: `User ID` is `user_id`."""

    def fold(name: object) -> str:
        return str(name).lower().translate({ord(sign): None for sign in "_ -."})

    known = {fold(name): name for name in wanted if name not in data.columns}
    names = {name: known[fold(name)] for name in data.columns if fold(name) in known}
    return data.rename(columns=names) if len(names) == len({*names.values()}) else data


def _of_dictionary(task: str, keys: tuple[str, ...], data: Mapping[Any, Any]) -> Any:
    values = list(data.values())
    if task == "transitions" and values and all(isinstance(value, Mapping) for value in values):
        rows = [(start, end, probability) for start, ends in data.items() for end, probability in ends.items()]
        return dict(zip(("from", "to", "probability"), map(list, zip(*rows)))) if rows else {"from": [], "to": [], "probability": []}
    if keys and values and not any(name in data for name in keys) and all(_is_number(value) for value in values):
        return {keys[0]: list(data), value_of(task): values}
    return data


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0


def _of_matrix(matrix: Any) -> Any:
    """A row for each pair of an endpoint left, the index, and one entered, the columns."""
    long = matrix.rename_axis(index="from", columns="to").stack().rename("probability").reset_index()
    return long[long.probability != 0]


def _of_curves(curves: Any, start: datetime.date, known: int) -> Any:
    """A row for each user, a column, and day, the index: dates, or days of the window from 0. What is scored is survival from the last
    day that is known: each curve by its value then.
    """
    import pandas

    times = curves.index
    if times.dtype.kind == "M":
        days = (times.tz_localize(None) - pandas.Timestamp(start)) / pandas.Timedelta(days=1)
    elif times.dtype.kind in "iuf":
        days = times
    else:
        raise InputError(f"predictions: the index of survival curves must be dates or days of the window, got {times[:3].tolist()}")
    if not (days == days.astype("int64")).all() or not days.is_monotonic_increasing:
        raise InputError(f"predictions: the index of survival curves must be whole days that rise, got {times[:3].tolist()}")
    curves = curves.set_axis(days.astype("int64"), axis=0)
    before = curves[curves.index <= known]
    after = curves[curves.index > known]
    long = (after / before.iloc[-1] if len(before) else after).rename_axis(index="day", columns="user_id").unstack().rename("survival").reset_index()
    try:
        return long.astype({"user_id": "int64"})
    except (TypeError, ValueError):
        raise InputError(f"predictions: the columns of survival curves must be user ids, got {curves.columns[0]!r}") from None
