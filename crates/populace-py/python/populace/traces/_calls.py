"""Calls and sessions: views on Arrow columns."""

from __future__ import annotations

import datetime as _datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from populace import _options, _populace
from populace._errors import InputError
from populace.traces._workflow import WorkflowDefinition

_EPOCH = _datetime.datetime(1970, 1, 1)
_CALL_ID, _SESSION_ID, _USER_ID, _USER_TYPE, _ENDPOINT, _METHOD, _PARAMS, _STATUS, _SIZE, _ATTEMPT, _RETRY_OF = 0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12


def moment(microseconds: int) -> _datetime.datetime:
    return _EPOCH + _datetime.timedelta(microseconds=microseconds)


def microseconds(name: str, value: Any) -> int:
    if not isinstance(value, _datetime.datetime):
        raise TypeError(f"{name}: must be a datetime, got {value!r}")
    if value.tzinfo is not None:
        value = value.astimezone(_datetime.timezone.utc).replace(tzinfo=None)
    return (value - _EPOCH) // _datetime.timedelta(microseconds=1)


class APICall:
    """One API call, or one retry of a call. Those of a data set are views and cannot be changed."""

    __slots__ = ("_call", "_session", "_store", "_values")
    _FIELDS = ("call_id", "session_id", "user_id", "endpoint", "method", "params", "timestamp", "user_type", "response_time_ms", "status_code", "response_size_bytes", "attempt", "retry_of")  # fmt: skip

    def __init__(
        self,
        endpoint: str,
        method: str = "GET",
        timestamp: _datetime.datetime = _EPOCH,
        *,
        call_id: str = "",
        session_id: str = "",
        user_id: str = "",
        params: Mapping[str, str] | None = None,
        user_type: str | None = None,
        response_time_ms: float | None = None,
        status_code: int | None = 200,
        response_size_bytes: int | None = None,
        attempt: int = 1,
        retry_of: str | None = None,
    ) -> None:
        self._store = None
        microseconds("timestamp", timestamp)
        if not 0 <= (_options.number("response_time_ms", response_time_ms) or 0) <= 1e12:
            raise InputError(f"response_time_ms: must be from 0 to 1,000,000,000,000, got {response_time_ms!r}")
        _options.whole("status_code", status_code, 0, 999)
        _options.whole("response_size_bytes", response_size_bytes, 0, 2**31 - 1)
        _options.whole("attempt", attempt, 1, 2**31 - 1)
        self._values = {
            "call_id": call_id, "session_id": session_id, "user_id": user_id, "endpoint": endpoint, "method": method,
            "params": dict(params or {}), "timestamp": timestamp, "user_type": user_type, "response_time_ms": response_time_ms,
            "status_code": status_code, "response_size_bytes": response_size_bytes, "attempt": attempt, "retry_of": retry_of,
        }  # fmt: skip

    @classmethod
    def _view(cls, store: Any, session: int, call: int) -> APICall:
        view = cls.__new__(cls)
        view._store, view._session, view._call = store, session, call
        return view

    def _text(self, name: str, column: int) -> Any:
        return self._values[name] if self._store is None else self._store.text(self._session, self._call, column)

    def _integer(self, name: str, column: int) -> Any:
        return self._values[name] if self._store is None else self._store.integer(self._session, self._call, column)

    @property
    def call_id(self) -> str:
        """Its id."""
        return self._text("call_id", _CALL_ID)

    @property
    def session_id(self) -> str:
        """Id of its session."""
        return self._text("session_id", _SESSION_ID)

    @property
    def user_id(self) -> str:
        """Id of the user."""
        return self._text("user_id", _USER_ID)

    @property
    def user_type(self) -> str | None:
        """Type of the user, such as premium."""
        return self._text("user_type", _USER_TYPE)

    @property
    def endpoint(self) -> str:
        """Path of the endpoint."""
        return self._text("endpoint", _ENDPOINT)

    @property
    def method(self) -> str | None:
        """HTTP method."""
        return self._text("method", _METHOD)

    @property
    def params(self) -> dict[str, str]:
        """Request parameters."""
        if self._store is None:
            return self._values["params"]
        return json.loads(self._text("params", _PARAMS) or "{}")

    @property
    def timestamp(self) -> _datetime.datetime:
        """When it started, in UTC."""
        return self._values["timestamp"] if self._store is None else moment(self._store.time(self._session, self._call))

    @property
    def response_time_ms(self) -> float | None:
        """How long it took, in milliseconds."""
        return self._values["response_time_ms"] if self._store is None else self._store.response_time(self._session, self._call)

    @property
    def status_code(self) -> int | None:
        """HTTP status code."""
        return self._integer("status_code", _STATUS)

    @property
    def response_size_bytes(self) -> int | None:
        """Size of the response, in bytes."""
        return self._integer("response_size_bytes", _SIZE)

    @property
    def attempt(self) -> int:
        """1, or 2 for a retry."""
        attempt = self._integer("attempt", _ATTEMPT)
        return 1 if attempt is None else attempt

    @property
    def retry_of(self) -> str | None:
        """Id of the call that it retries."""
        return self._text("retry_of", _RETRY_OF)

    def to_dict(self) -> dict[str, Any]:
        """Its values by name."""
        return {name: getattr(self, name) for name in self._FIELDS}

    def replace(self, **changes: Any) -> APICall:
        """A copy with other values."""
        return APICall(**{**self.to_dict(), **changes})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, APICall) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"APICall({self.method} {self.endpoint} at {self.timestamp.isoformat()}, {self.status_code})"


class _Calls(Sequence):
    """The calls of a session, made when they are asked for."""

    __slots__ = ("_count", "_session", "_store")

    def __init__(self, store: Any, session: int) -> None:
        self._store, self._session, self._count = store, session, store.calls(session)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> APICall: ...
    @overload
    def __getitem__(self, place: slice) -> list[APICall]: ...
    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [APICall._view(self._store, self._session, call) for call in range(*place.indices(self._count))]
        call = range(self._count)[place]
        return APICall._view(self._store, self._session, call)

    def __iter__(self) -> Iterator[APICall]:
        return (APICall._view(self._store, self._session, call) for call in range(self._count))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))


class Session:
    """The calls of one visit, in order. `calls` has the retries too; `endpoint_sequence` leaves them out."""

    __slots__ = ("_index", "_store", "_workflow")

    def __init__(self, calls: Iterable[APICall], session_id: str | None = None, user_id: str | None = None, user_type: str | None = None) -> None:
        calls = list(calls)
        if not calls:
            raise InputError("a session needs at least one call")
        first = calls[0]
        session_id = session_id or first.session_id or "session"
        self._store = store_of([[
            call.replace(session_id=session_id, user_id=user_id or call.user_id, user_type=user_type or call.user_type) for call in calls
        ]])  # fmt: skip
        self._index = 0
        self._workflow = None

    @classmethod
    def _view(cls, store: Any, index: int, workflow: WorkflowDefinition | None = None) -> Session:
        view = cls.__new__(cls)
        view._store, view._index, view._workflow = store, index, workflow
        return view

    @property
    def calls(self) -> Sequence[APICall]:
        """Its calls in order of time, retries among them."""
        return _Calls(self._store, self._index)

    @property
    def session_id(self) -> str:
        """Its id."""
        return self._store.text(self._index, 0, _SESSION_ID)

    @property
    def user_id(self) -> str:
        """Id of the user."""
        return self._store.text(self._index, 0, _USER_ID)

    @property
    def user_type(self) -> str | None:
        """Type of the user."""
        return self._store.text(self._index, 0, _USER_TYPE)

    @property
    def start_time(self) -> _datetime.datetime:
        """Start of the first call, in UTC."""
        return moment(self._store.span(self._index)[0])

    @property
    def end_time(self) -> _datetime.datetime:
        """End of the last response, in UTC."""
        return moment(self._store.span(self._index)[1])

    start_timestamp, end_timestamp = start_time, end_time

    @property
    def duration_seconds(self) -> float:
        """From the start of the first call to the end of the last response, in seconds."""
        first, last = self._store.span(self._index)
        return (last - first) / 1e6

    @property
    def num_calls(self) -> int:
        """Number of calls, retries counted."""
        return self._store.calls(self._index)

    @property
    def endpoint_sequence(self) -> list[str]:
        """The endpoints in order, retries left out."""
        return self._store.endpoint_sequence(self._index)

    @property
    def unique_endpoints(self) -> set[str]:
        """The endpoints, each once."""
        return set(self.endpoint_sequence)

    @property
    def has_errors(self) -> bool:
        """Whether a call did not end with status 200."""
        return any(call.status_code != 200 for call in self.calls)

    def to_dict(self) -> dict[str, Any]:
        """Its values by name, its calls as a list of theirs."""
        return {
            "session_id": self.session_id,
            "user_id": self.user_id,
            "user_type": self.user_type,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "calls": [call.to_dict() for call in self.calls],
        }

    def __len__(self) -> int:
        return self.num_calls

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and self.calls == other.calls

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Session {self.session_id} of {self.user_id}: {' → '.join(self.endpoint_sequence)}>"


def store_of(sessions: Iterable[Iterable[APICall]]) -> Any:
    names = ("call_id", "session_id", "user_id", "user_type", "endpoint", "method", "params", "timestamp", "response_time_ms", "status_code", "response_size_bytes", "attempt", "retry_of")  # fmt: skip
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for calls in sessions:
        for call in calls:
            for name in names:
                value = getattr(call, name)
                if name == "timestamp":
                    value = microseconds("timestamp", value)
                elif name == "params":
                    value = json.dumps(value, separators=(",", ":"))
                columns[name].append(value)
    return _populace.Store.of_columns(columns)


class _Sessions(Sequence):
    """Sessions of one store, made when they are asked for."""

    __slots__ = ("_dataset", "_places")

    def __init__(self, dataset: Any, places: Sequence[int]) -> None:
        self._dataset, self._places = dataset, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return _Sessions(self._dataset, self._places[place])
        return Session._view(self._dataset._store, self._places[place], self._dataset.workflow)

    def __iter__(self) -> Iterator[Session]:
        store, workflow = self._dataset._store, self._dataset.workflow
        return (Session._view(store, place, workflow) for place in self._places)

    def __repr__(self) -> str:
        return f"<{len(self):,} sessions>"
