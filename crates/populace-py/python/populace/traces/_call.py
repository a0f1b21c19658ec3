"""A call, and its values."""

from __future__ import annotations

import copy as _copy
import datetime as _datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from populace import _options
from populace._errors import InputError

EPOCH = _datetime.datetime(1970, 1, 1)
MICROSECOND = _datetime.timedelta(microseconds=1)
_LONGEST_MS = 1e12


def moment(microseconds: int) -> _datetime.datetime:
    return EPOCH + _datetime.timedelta(microseconds=microseconds)


def utc(name: str, value: Any) -> _datetime.datetime:
    if not isinstance(value, _datetime.datetime):
        raise TypeError(f"{name}: must be a datetime, got {value!r}")
    return value if value.tzinfo is None else value.astimezone(_datetime.timezone.utc).replace(tzinfo=None)


def microseconds(name: str, value: Any) -> int:
    return (utc(name, value) - EPOCH) // MICROSECOND


def parsed(data: Mapping[str, Any], known: Iterable[str], *times: str) -> dict[str, Any]:
    """The values of a dictionary, times among them as text or `datetime`."""
    values, known = dict(data), set(known)
    for key in values:
        if key not in known:
            raise InputError(f"{key}: unknown key; there are {', '.join(sorted(known))}")
    for name in times:
        if isinstance(values.get(name), str):
            text = values[name]
            try:
                # Python 3.10 does not know the Z.
                values[name] = _datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
            except ValueError:
                raise InputError(f"{name}: `{text}` is not a time such as 2026-01-31T08:30:00") from None
    return values


def service_of(endpoint: str) -> str:
    first, *rest = endpoint.lstrip("/").split("/")
    return rest[0] if first.lower() == "api" and rest else first


@dataclass(repr=False)
class APICall:
    """One API call, or one retry of a call: that has `attempt` 2 and `retry_of`."""

    call_id: str
    endpoint: str
    method: str | None
    params: dict[str, Any]
    user_id: str
    session_id: str
    timestamp: _datetime.datetime
    response_time_ms: float | None = None
    status_code: int | None = 200
    response_size_bytes: int | None = None
    user_type: str | None = None
    attempt: int = 1
    retry_of: str | None = None

    def __post_init__(self) -> None:
        for name in ("call_id", "endpoint", "user_id", "session_id"):
            if not isinstance(getattr(self, name), str):
                _options.text(name, getattr(self, name))
        if not self.endpoint.startswith("/"):
            raise InputError(f"endpoint: must start with /, got {self.endpoint!r}")
        # A log may lack it; what orders or saves calls refuses such a one.
        if self.timestamp is not None:
            self.timestamp = utc("timestamp", self.timestamp)
        if self.params is None:
            self.params = {}
        if not 0 <= (_options.number("response_time_ms", self.response_time_ms) or 0) <= _LONGEST_MS:
            raise InputError(f"response_time_ms: must be from 0 to 1,000,000,000,000, got {self.response_time_ms!r}")
        _options.whole("status_code", self.status_code, 0, 999)
        _options.whole("response_size_bytes", self.response_size_bytes, 0, 2**31 - 1)
        _options.whole("attempt", self.attempt, 1, 2**31 - 1)

    def is_successful(self) -> bool:
        """Whether its status is one of 200 to 299."""
        return self.status_code is not None and 200 <= self.status_code < 300

    def get_service_name(self) -> str:
        """The first part of the path, or the second after `api`: `users` of /api/users/123."""
        return service_of(self.endpoint)

    def to_dict(self) -> dict[str, Any]:
        """Its values by name, for `json.dumps`: the time as text; `attempt` and `retry_of` of a retry alone."""
        values = {name: getattr(self, name) for name in CALL[: None if self.attempt > 1 or self.retry_of else -2]}
        return {**values, "timestamp": self.timestamp.isoformat()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> APICall:
        """What `to_dict` gave. Raises `InputError` for a key that is unknown."""
        return cls(**parsed(data, CALL, "timestamp"))

    def replace(self, **changes: Any) -> APICall:
        """A copy with other values."""
        return APICall(**{**vars(self), **changes})

    def __repr__(self) -> str:
        return f"APICall({self.method} {self.endpoint} at {self.timestamp.isoformat()}, {self.status_code})"


def snapshot(calls: list[APICall]) -> tuple[list[type[APICall]], list[dict[str, Any]]]:
    """The classes and the values of calls, whatever becomes of them."""
    values = [call.__dict__.copy() for call in calls]
    try:
        for each in values:
            each["params"] = each["params"].copy()
    except AttributeError:
        for each in values:
            each["params"] = _copy.copy(each["params"])
    return list(map(type, calls)), values


Strike = Callable[[list[type[APICall]], list[dict[str, Any]]], tuple[list[APICall], _datetime.timedelta]]
"""What makes struck calls of values, and the end of the last response, counted from the start of the first call."""
CALL = tuple(each.name for each in fields(APICall))
APICall.__module__ = "populace.traces.models"
new = object.__new__


def made(
    session: tuple[str, str, str | None], call_id: str, endpoint: str, method: str | None, params: dict[str, Any],
    timestamp: _datetime.datetime, response_time_ms: float | None, status: int | None, size: int | None, attempt: int, retry_of: str | None,
) -> APICall:  # fmt: skip
    """A call whose values are known to be sound."""
    call = new(APICall)
    call.call_id = call_id
    call.endpoint = endpoint
    call.method = method
    call.params = params
    call.session_id, call.user_id, call.user_type = session
    call.timestamp = timestamp
    call.response_time_ms = response_time_ms
    call.status_code = status
    call.response_size_bytes = size
    call.attempt = attempt
    call.retry_of = retry_of
    return call
