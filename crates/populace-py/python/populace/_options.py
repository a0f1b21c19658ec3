"""From what Python gives to what the engine takes: numbers, dates, seeds, settings, paths."""

from __future__ import annotations

import datetime as _datetime
import functools
import math
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast, overload

from populace import _populace
from populace._errors import InputError

_Function = TypeVar("_Function", bound=Callable[..., Any])

MAX_SEED = 2**64 - 1
SHORTCUTS: dict[str, tuple[str, int]] = {keyword: (takes, most) for keyword, takes, most in _populace.shortcuts()}
"""The options that set single values of a scenario: what each takes, and the greatest whole number."""


@overload
def whole(name: str, value: int, low: int, high: int) -> int: ...
@overload
def whole(name: str, value: int | None, low: int, high: int) -> int | None: ...
def whole(name: str, value: Any, low: int, high: int) -> int | None:
    """An integer within bounds; `TypeError` for what is none, `InputError` for what lies outside."""
    if value is None:
        return None
    if isinstance(value, bool):
        raise TypeError(f"{name}: must be an integer, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: must be an integer, got {value!r}") from None
    if not low <= number <= high:
        raise InputError(f"{name}: must be from {low:,} to {high:,}, got {number:,}")
    return number


def choice(name: str, value: Any, known: Iterable[str]) -> str:
    """One of some words; `InputError` for another, with the one that is meant."""
    known = list(known)
    if value in known:
        return str(value)
    raise InputError(f"{name}: must be one of {', '.join(known)}, got {value!r}{near(value, known)}")


def near(value: Any, known: Iterable[str]) -> str:
    """The name that is probably meant, as a question; nothing if none is near."""
    import difflib

    found = difflib.get_close_matches(str(value), list(known), 1)
    return f"; did you mean {found[0]!r}?" if found else ""


def keywords(function: _Function) -> _Function:
    """The function, which names the argument that is near to one it does not have."""
    code = function.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        for name in named:
            if name not in known:
                raise TypeError(f"{function.__name__}() has no argument {name!r}{near(name, known)}")
        return function(*arguments, **named)

    return cast(_Function, called)


def text(name: str, value: Any) -> str:
    """Text; `TypeError` for what is none."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: must be text, got {value!r}")
    return value


@overload
def number(name: str, value: float) -> float: ...
@overload
def number(name: str, value: float | None) -> float | None: ...
def number(name: str, value: Any) -> float | None:
    """A float; `TypeError` for what is none, `InputError` for what is not finite."""
    if value is None:
        return None
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(f"{name}: must be a number, got {value!r}")
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name}: must be a number, got {value!r}") from None
    if result != result or result in (float("inf"), float("-inf")):
        raise InputError(f"{name}: must be a finite number, got {value!r}")
    return result


def share(name: str, value: Any) -> float | None:
    """A number between 0 and 1."""
    given: float | None = number(name, value)
    if given is not None and not 0 < given < 1:
        raise InputError(f"{name}: must lie between 0 and 1, got {value!r}")
    return given


def _of_numpy(value: Any) -> Any:
    """A `numpy.datetime64` as Python's own; anything else as it is."""
    return value.astype("datetime64[us]").item() if type(value).__name__ == "datetime64" else value


def date(name: str, value: Any) -> str | None:
    """A day as `YYYY-MM-DD`, from text, a `date`, a `datetime` or a `numpy.datetime64`: the one that is written, whatever the zone."""
    if value is None or isinstance(value, str):
        return value
    shown, value = value, _of_numpy(value)
    if isinstance(value, _datetime.datetime):
        if value != value:
            raise InputError(f"{name}: must be a date, got {shown!r}")
        if (value.hour, value.minute, value.second, value.microsecond) != (0, 0, 0, 0):
            raise InputError(f"{name}: must be a day, which is one of UTC from midnight to midnight; got {value} with a time of day")
        return value.date().isoformat()
    if isinstance(value, _datetime.date):
        return value.isoformat()
    raise TypeError(f"{name}: must be a date or text such as 2026-01-31, got {shown!r}")


def moment(name: str, value: Any) -> str | None:
    """A moment in ISO 8601, from text, a `date`, a `datetime` or a `numpy.datetime64`; one without a zone is in UTC."""
    if value is None or isinstance(value, str):
        return value
    shown, value = value, _of_numpy(value)
    if isinstance(value, _datetime.date) and value == value:
        return value.isoformat()
    raise TypeError(f"{name}: must be a moment or text such as 2026-01-31T12:00:00Z, got {shown!r}")


def path(name: str, value: Any) -> str:
    try:
        return os.fsdecode(os.fspath(value))
    except TypeError:
        raise TypeError(f"{name}: must be a path, got {value!r}") from None


def seed(seed: int | None, random_state: Any) -> int | None:
    """The seed: `random_state` may be an integer, or a NumPy `Generator` or `RandomState`, from which one is drawn."""
    if random_state is None:
        return whole("seed", seed, 0, MAX_SEED)
    if seed is not None:
        raise InputError("seed and random_state are two names of one thing; give one of them")
    if hasattr(random_state, "integers"):
        return int(random_state.integers(0, 2**63))
    if hasattr(random_state, "randint"):
        return int(random_state.randint(0, 2**31 - 1))
    given: int | None = whole("random_state", random_state, 0, MAX_SEED)
    return given


def document(name: str, value: Any) -> str:
    """A dictionary as a document: JSON is YAML."""
    import json

    def plain(thing: Any) -> Any:
        if isinstance(thing, Mapping):
            return dict(thing)
        if isinstance(thing, (set, frozenset)):
            return sorted(thing)
        if isinstance(thing, (_datetime.date, _datetime.datetime)):
            return date(name, thing)
        if hasattr(thing, "tolist"):  # a number or an array of NumPy, a column of pandas
            return thing.tolist()
        raise TypeError(f"{name}: {thing!r} has no place in a document")

    for where, key in _keys(value, name):
        if not isinstance(key, str):
            raise TypeError(f"{where}: keys are text, got {key!r}")
    try:
        return json.dumps(value, default=plain, allow_nan=False, indent=1)
    except ValueError as error:
        raise InputError(f"{name}: holds a number that is not finite, or itself ({error})") from None
    except RecursionError:
        raise InputError(f"{name}: is nested too deeply") from None


def _keys(value: Any, where: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if depth > 200:
        raise InputError(f"{where[:60]}…: is nested too deeply")
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield where, key
            yield from _keys(item, f"{where}.{key}", depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: must be a finite number, got {value!r}")
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _keys(item, where, depth + 1)


def settings(value: Mapping[str, Any] | None) -> list[str]:
    """Single values of a scenario by dotted path, as `--set` takes them."""
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise TypeError(f"set: must be a dictionary of paths and values, got {value!r}")
    return [f"{key}={document(f'set {key}', item)}" for key, item in value.items()]


def shortcut(keyword: str, value: Any) -> str | None:
    """The value of a shortcut as text; `None` if it says nothing."""
    takes, most = SHORTCUTS[keyword]
    if value is None:
        return None
    if takes == "whole":
        return str(whole(keyword, value, 0, most))
    if takes == "number":
        return repr(number(keyword, value))
    if takes == "date":
        return date(keyword, value)
    if takes == "word":
        return str(value)
    if not isinstance(value, bool):
        raise TypeError(f"{keyword}: must be True or False, got {value!r}")
    return None if value else "false"


def component(name: str, value: Any) -> dict[str, str]:
    """A part of a scenario that may be a document of its own: a file's path, a dictionary, or an object with `to_dict`."""
    if value is None:
        return {}
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {f"{name}_text": document(name, value)}
    return {name: path(name, value)}
