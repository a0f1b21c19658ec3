"""From the options of a reader, all of them text, to a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from populace import _populace
from populace._errors import InputError
from populace._options import SHORTCUTS

MOST_PARTITIONS = 100_000
_WHOLE = {"seed": 2**64 - 1, "threads": 1_024}
_TEXTS = ("profile", *(name for name, _ in _populace.components()))
_OWN = ("scenario", "table", "partitions", "columns", "actors")
KNOWN = (*_OWN, *_WHOLE, *SHORTCUTS, *_TEXTS, "set", "set.PATH")


class Request(NamedTuple):
    """What was asked for, read and checked as far as it can be without a scenario."""

    scenario: str
    engine: dict[str, Any]
    table: str | None
    partitions: int | None
    columns: list[str] | None
    actors: tuple[int, int] | None


def whole(name: str, value: Any, low: int, high: int) -> int:
    """An integer from text."""
    try:
        number = int(str(value))
    except ValueError:
        raise InputError(f"option {name}: must be an integer, got {value!r}") from None
    if not low <= number <= high:
        raise InputError(f"option {name}: must be from {low:,} to {high:,}, got {number:,}")
    return number


def _rate(name: str, value: Any) -> float:
    try:
        number = float(str(value))
    except ValueError:
        raise InputError(f"option {name}: must be a number, got {value!r}") from None
    if number != number or abs(number) == float("inf"):
        raise InputError(f"option {name}: must be a finite number, got {value!r}")
    return number


def _truth_value(name: str, value: Any) -> bool:
    known = {"true": True, "false": False}
    try:
        return known[str(value).lower()]
    except KeyError:
        raise InputError(f"option {name}: must be true or false, got {value!r}") from None


def _shortcut(name: str, value: Any) -> str | None:
    """The value of a shortcut as text; `None` if it says nothing."""
    takes, most = SHORTCUTS[name]
    if takes == "whole":
        return str(whole(name, value, 0, most))
    if takes == "number":
        return repr(_rate(name, value))
    if takes == "switch":
        return None if _truth_value(name, value) else "false"
    return str(value)


def _range(value: Any) -> tuple[int, int]:
    start, colon, stop = str(value).partition(":")
    if not colon:
        raise InputError(f"option actors: must be START:STOP, such as 0:1000, got {value!r}")
    bounds = whole("actors", start, 0, 2**63), whole("actors", stop, 0, 2**63)
    if bounds[0] >= bounds[1]:
        raise InputError(f"option actors: must be START:STOP with START below STOP, got {value!r}")
    return bounds


def _settings(value: Any) -> list[str]:
    """Settings as a JSON object, for paths with capital letters: Spark folds the names of options."""
    try:
        document = value if isinstance(value, Mapping) else json.loads(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"option set: must be a JSON object of paths and values, got {value!r} ({error})") from None
    if not isinstance(document, Mapping):
        raise InputError(f"option set: must be a JSON object of paths and values, got {value!r}")
    return [f"{path}={json.dumps(item)}" for path, item in document.items()]


def request(options: Mapping[str, Any]) -> Request:
    """Reads options, whose names are in lower case. Raises `InputError` for one that is unknown or makes no sense."""
    given = {name: value for name, value in options.items() if value is not None}
    if not str(given.get("scenario", "")).strip():
        names = ", ".join(_populace.scenarios())
        raise InputError(f"option scenario: is missing; give {names}, a file, or the text of a document")
    engine: dict[str, Any] = {"set": [], "threads": 1}
    for name, value in given.items():
        if name in _WHOLE:
            engine[name] = whole(name, value, 1 if name == "threads" else 0, _WHOLE[name])
        elif name in SHORTCUTS:
            engine[name] = _shortcut(name, value)
        elif name in _TEXTS:
            engine[name] = str(value)
        elif name == "set":
            engine["set"] += _settings(value)
        elif name.startswith("set.") and name != "set.":
            engine["set"].append(f"{name.removeprefix('set.')}={value}")
        elif name not in _OWN:
            raise InputError(f"option {name}: is unknown; there are {', '.join(KNOWN)}")
    columns = given.get("columns")
    if isinstance(columns, str):
        columns = [column.strip() for column in columns.split(",")]
    if columns is not None and not columns:
        raise InputError("option columns: names no column")
    return Request(
        scenario=str(given["scenario"]),
        engine=engine,
        table=None if given.get("table") is None else str(given["table"]),
        partitions=None if given.get("partitions") is None else whole("partitions", given["partitions"], 1, MOST_PARTITIONS),
        columns=columns,
        actors=None if given.get("actors") is None else _range(given["actors"]),
    )


def plan(asked: Request) -> _populace.Run:
    """The run that was asked for. Raises `InputError` if it has no seed: every task and every query must make the same rows."""
    is_document = "\n" in asked.scenario or asked.scenario.lstrip().startswith("{")
    name, text = ("scenario", asked.scenario) if is_document else (asked.scenario, None)
    if asked.engine.get("seed") is None:
        head, _, _ = _populace.resolve(name, text, asked.engine)
        if json.loads(head).get("seed") is None:
            raise InputError("option seed: the scenario has no seed of its own; give one, so that every query sees the same rows")
    return _populace.Run.plan(name, text, asked.engine)
