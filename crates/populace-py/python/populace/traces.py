"""API call sessions with a known Markov chain: workflows, generated data sets, sequences.

>>> from populace.traces import SequenceBuilder, SyntheticGenerator
>>> gen = SyntheticGenerator(seed=42)
>>> dataset = gen.generate_dataset(num_users=200)
>>> learned = SequenceBuilder().get_transition_probabilities(dataset.sessions)
>>> abs(learned["/api/login"]["/api/users/{id}/profile"] - 0.8) < 0.1
True

Sessions and calls are views on Arrow columns, made when they are asked for; what is counted is counted natively. Times are `datetime`
without a zone, in UTC. A generator's first data set is that of `populace generate traces` with the same seed and options.
"""

from __future__ import annotations

import datetime as _datetime
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from populace import _options, _populace
from populace._errors import InputError
from populace._run import Run, _plan

__all__ = [
    "APICall", "Dataset", "SequenceBuilder", "Session", "SyntheticGenerator", "WorkflowDefinition", "create_microservices_workflow",
    "create_simple_workflow",
]  # fmt: skip

_EPOCH = _datetime.datetime(1970, 1, 1)
_CALL_ID, _SESSION_ID, _USER_ID, _USER_TYPE, _ENDPOINT, _METHOD, _PARAMS, _STATUS, _SIZE, _ATTEMPT, _RETRY_OF = 0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12


def _moment(microseconds: int) -> _datetime.datetime:
    return _EPOCH + _datetime.timedelta(microseconds=microseconds)


def _microseconds(name: str, value: Any) -> int:
    if not isinstance(value, _datetime.datetime):
        raise TypeError(f"{name}: must be a datetime, got {value!r}")
    if value.tzinfo is not None:
        value = value.astimezone(_datetime.timezone.utc).replace(tzinfo=None)
    return (value - _EPOCH) // _datetime.timedelta(microseconds=1)


# --- workflows -------------------------------------------------------------------------------------------------------


class WorkflowDefinition:
    """How users behave: a Markov chain over endpoints.

    `entry_points` maps an endpoint to the probability that a session starts there, `transitions` an endpoint to the probabilities of the
    next; each sums to 1. `exit_points` end a session. `avg_response_times` are in milliseconds (150 where none is given).
    `user_type_distribution` maps a type to its share. `methods` gives an endpoint's HTTP method where the rule by path does not fit.
    A session has at most `max_length` calls; an exit point ends it with `exit_probability`.

    Nothing is checked here: `SyntheticGenerator.validate_workflow` tells every problem, and generating raises `InputError`.

    >>> workflow = WorkflowDefinition("tiny", {"/a": 1.0}, {"/a": {"/b": 1.0}}, {"/b"})
    >>> workflow.transitions["/a"]["/b"]
    1.0
    """

    def __init__(
        self,
        name: str,
        entry_points: Mapping[str, float],
        transitions: Mapping[str, Mapping[str, float]],
        exit_points: Iterable[str],
        avg_response_times: Mapping[str, float] | None = None,
        user_type_distribution: Mapping[str, float] | None = None,
        methods: Mapping[str, str] | None = None,
        max_length: int = 20,
        exit_probability: float = 1.0,
    ) -> None:
        if isinstance(exit_points, str):
            raise TypeError(f"exit_points: must be a set of endpoints, got {exit_points!r}")
        self.name = name
        self.entry_points = dict(entry_points)
        self.transitions = {origin: dict(row) for origin, row in transitions.items()}
        self.exit_points = set(exit_points)
        self.avg_response_times = dict(avg_response_times or {})
        self.user_type_distribution = dict(user_type_distribution or {"premium": 0.3, "free": 0.5, "guest": 0.2})
        self.methods = dict(methods or {})
        self.max_length = max_length
        self.exit_probability = exit_probability

    @property
    def endpoints(self) -> list[str]:
        """Every endpoint, in alphabetical order."""
        targets = {target for row in self.transitions.values() for target in row}
        return sorted({*self.entry_points, *self.transitions, *targets, *self.exit_points}, key=str)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, with the keys of its YAML."""
        return {**{key: value for key, value in vars(self).items() if key != "exit_points"}, "exit_points": sorted(self.exit_points, key=str)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> WorkflowDefinition:
        """From plain values. Raises `InputError` for a key that is unknown or missing."""
        known = ("name", "entry_points", "transitions", "exit_points", "avg_response_times", "user_type_distribution", "methods", "max_length", "exit_probability")  # fmt: skip
        for key in document:
            if key not in known:
                raise InputError(f"{key}: unknown key; there are {', '.join(known)}")
        for key in known[:4]:
            if key not in document:
                raise InputError(f"{key}: is missing")
        return cls(**{key: value for key, value in document.items() if value is not None})

    def to_yaml(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file; folders that are missing are made. Raises `OSError`, `InputError` for values that have no form in YAML."""
        target = Path(_options.path("path", path))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        partial.write_text(_populace.json_to_yaml(_options.document("workflow", self.to_dict())), encoding="utf-8")
        partial.replace(target)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> WorkflowDefinition:
        """Read it from a file. Raises `OSError`, `InputError` with line and column."""
        source = Path(_options.path("path", path))
        try:
            text = source.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{source}: is no text in UTF-8 ({error})") from None
        document = json.loads(_populace.yaml_to_json(str(source), text))
        if not isinstance(document, dict):
            raise InputError(f"{source}: is no workflow")
        try:
            return cls.from_dict(document)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{source}: {error}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkflowDefinition) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<WorkflowDefinition {self.name}: {len(self.endpoints)} endpoints, {len(self.exit_points)} of them exits>"

    def _repr_html_(self) -> str:
        import html

        def shown(probability: Any) -> str:
            return f"{probability:.3f}" if isinstance(probability, (int, float)) else html.escape(str(probability))

        rows = "".join(
            f"<tr><td>{html.escape(str(origin))}</td><td>{html.escape(str(target))}</td><td>{shown(probability)}</td></tr>"
            for origin, row in [("(start)", self.entry_points), *self.transitions.items()]
            for target, probability in row.items()
        )
        exits = html.escape(", ".join(sorted(map(str, self.exit_points))))
        return f"<p><b>{html.escape(self.name)}</b>, exits: {exits}</p><table><tr><th>from</th><th>to</th><th>probability</th></tr>{rows}</table>"


def _document(workflow: Any) -> dict[str, Any]:
    if not isinstance(workflow, WorkflowDefinition):
        raise TypeError(f"workflow: must be a WorkflowDefinition, got {workflow!r}")
    return workflow.to_dict()


def _builtin(name: str) -> WorkflowDefinition:
    return WorkflowDefinition.from_dict(json.loads(_populace.yaml_to_json(name, dict(_populace.workflows())[name])))


def create_simple_workflow() -> WorkflowDefinition:
    """Three endpoints, for tests.

    >>> create_simple_workflow().transitions["/start"]
    {'/middle': 0.7, '/end': 0.3}
    """
    return _builtin("simple")


def create_microservices_workflow() -> WorkflowDefinition:
    """The services of a shop behind a gateway."""
    return _builtin("microservices")


# --- calls, sessions, data sets --------------------------------------------------------------------------------------


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
        _microseconds("timestamp", timestamp)
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
        return self._values["timestamp"] if self._store is None else _moment(self._store.time(self._session, self._call))

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
        self._store = _store_of([[
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
        return _moment(self._store.span(self._index)[0])

    @property
    def end_time(self) -> _datetime.datetime:
        """End of the last response, in UTC."""
        return _moment(self._store.span(self._index)[1])

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


def _store_of(sessions: Iterable[Iterable[APICall]]) -> Any:
    names = ("call_id", "session_id", "user_id", "user_type", "endpoint", "method", "params", "timestamp", "response_time_ms", "status_code", "response_size_bytes", "attempt", "retry_of")  # fmt: skip
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for calls in sessions:
        for call in calls:
            for name in names:
                value = getattr(call, name)
                if name == "timestamp":
                    value = _microseconds("timestamp", value)
                elif name == "params":
                    value = json.dumps(value, separators=(",", ":"))
                columns[name].append(value)
    return _populace.Store.of_columns(columns)


class _Sessions(Sequence):
    """Sessions of one store, made when they are asked for."""

    __slots__ = ("_dataset", "_places")

    def __init__(self, dataset: Dataset, places: Sequence[int]) -> None:
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


class Dataset:
    """Sessions, with what is asked of them as a whole.

    `Dataset(sessions)` takes sessions of any origin; `SyntheticGenerator.generate_dataset` and `load_from_parquet` make one too.
    """

    def __init__(self, sessions: Iterable[Session], name: str = "dataset", metadata: Mapping[str, Any] | None = None) -> None:
        self.name, self.metadata = name, dict(metadata or {})
        self.workflow: WorkflowDefinition | None = None
        self.run: Run | None = None
        if isinstance(sessions, _Sessions):
            self._store, self._places, self.workflow = sessions._dataset._store, sessions._places, sessions._dataset.workflow
        else:
            gathered = list(sessions)
            seen: set[str] = set()
            for session in gathered:
                if not isinstance(session, Session):
                    raise TypeError(f"sessions: must be of Session, got {session!r}")
                if session.session_id in seen:
                    raise InputError(f"two sessions have the id {session.session_id}")
                seen.add(session.session_id)
            self._store = _store_of(session.calls for session in gathered)
            self._places = range(len(gathered))

    @classmethod
    def _of(cls, store: Any, places: Sequence[int], like: Dataset | None = None, **known: Any) -> Dataset:
        dataset = cls.__new__(cls)
        dataset._store, dataset._places = store, places
        dataset.name, dataset.metadata, dataset.workflow, dataset.run = "dataset", {}, None, None
        for key in ("name", "metadata", "workflow", "run") if like is not None else ():
            setattr(dataset, key, getattr(like, key))
        for key, value in known.items():
            setattr(dataset, key, value)
        return dataset

    @property
    def sessions(self) -> Sequence[Session]:
        """Its sessions, by user, then time."""
        return _Sessions(self, self._places)

    @property
    def num_sessions(self) -> int:
        """Number of sessions."""
        return len(self._places)

    @property
    def total_calls(self) -> int:
        """Number of calls, retries counted."""
        return self._store.total_calls(list(self._places))

    @property
    def unique_users(self) -> set[str]:
        """Ids of the users."""
        return set(self._store.users(list(self._places)))

    @property
    def num_unique_users(self) -> int:
        """Number of users."""
        return len(self._store.users(list(self._places)))

    @property
    def unique_endpoints(self) -> set[str]:
        """The endpoints that were called."""
        return set(self._store.unique_endpoints(list(self._places)))

    @property
    def date_range(self) -> tuple[_datetime.datetime, _datetime.datetime] | None:
        """Start of the first call and of the last, in UTC; `None` of no session."""
        found = self._store.range(list(self._places))
        return None if found is None else (_moment(found[0]), _moment(found[1]))

    def get_all_sequences(self) -> list[list[str]]:
        """The endpoints of each session in order, retries left out."""
        return self._sequences().lists()

    def _sequences(self) -> Any:
        return self._store.sequences(list(self._places))

    def get_sessions_by_user(self, user_id: str) -> list[Session]:
        """The sessions of a user, in order of time."""
        return [session for session in self.sessions if session.user_id == user_id]

    def split(
        self, train: float = 0.7, val: float = 0.15, test: float | None = None, seed: int = 42, by: str = "user"
    ) -> tuple[Dataset, Dataset, Dataset]:
        """Three data sets: train, validation, test, of these shares (the test's is what is left unless it is given).

        By `user`, no user is in two of them, and the same user falls into the same one however many there are; by `session`, sessions
        are dealt out; by `time`, the sessions that start first come first. Raises `InputError` for shares that are none.
        """
        train, val = _options.number("train", train), _options.number("val", val)
        test = 1.0 - train - val if test is None else _options.number("test", test)
        if min(train, val, test) < -1e-9 or abs(train + val + test - 1.0) > 1e-9:
            raise InputError(f"split: the shares must be 0 or more and sum to 1, got {train}, {val} and {test}")
        places = list(self._places)
        if by == "time":
            ordered = sorted(places, key=lambda place: self._store.span(place)[0])
            first, second = round(train * len(ordered)), round((train + val) * len(ordered))
            parts = [sorted(ordered[:first]), sorted(ordered[first:second]), sorted(ordered[second:])]
        elif by in ("user", "session"):
            column = _USER_ID if by == "user" else _SESSION_ID
            parts = [[], [], []]
            for place in places:
                share = _populace.share(self._store.text(place, 0, column), _options.whole("seed", seed, 0, _options.MAX_SEED))
                parts[0 if share < train else 1 if share < train + val else 2].append(place)
        else:
            raise InputError(f"split: by must be user, session or time, got {by!r}")
        return tuple(Dataset._of(self._store, part, self, name=f"{self.name}_{name}") for part, name in zip(parts, ("train", "val", "test")))

    def save_to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write its calls to a Parquet file, whole or not at all; folders that are missing are made. Raises `FileError`."""
        target = Path(_options.path("path", path))
        target.parent.mkdir(parents=True, exist_ok=True)
        self._store.save(list(self._places), target)

    @classmethod
    def load_from_parquet(cls, path: str | os.PathLike[str], name: str = "dataset") -> Dataset:
        """The sessions whose calls are in a file (Parquet, CSV, JSON Lines or Arrow), such as `calls.parquet` of a run.

        Needs session_id, user_id, endpoint and timestamp; the calls of a session may be scattered. Raises `InputError`.
        """
        store = _populace.Store.load(_options.path("path", path))
        return cls._of(store, range(len(store)), name=name)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Its calls as an Arrow stream: `pyarrow.table(dataset)`, `polars.DataFrame(dataset)`."""
        return self._store.capsule(list(self._places))

    def to_pandas(self) -> Any:
        """Its calls as a data frame. Needs pandas and pyarrow."""
        import pyarrow

        return pyarrow.table(self).to_pandas()

    def __len__(self) -> int:
        return self.num_sessions

    def __iter__(self) -> Iterator[Session]:
        return iter(self.sessions)

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {self.num_sessions:,} sessions of {self.num_unique_users:,} users, {self.total_calls:,} calls>"

    def _repr_html_(self) -> str:
        import html

        statistics = self._sequences().statistics()
        rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{count:,}</td></tr>" for name, count in statistics["endpoint_counts"].items())
        return f"<p>{html.escape(repr(self)[1:-1])}</p><table><tr><th>endpoint</th><th>calls</th></tr>{rows}</table>"


# --- the generator ---------------------------------------------------------------------------------------------------


class _Ecommerce:
    def __get__(self, instance: object, owner: type) -> WorkflowDefinition:
        return _builtin("ecommerce")


class SyntheticGenerator:
    """Makes sessions by walking over a workflow.

    The same seed makes the same data, call after call of its methods: the second data set of a generator differs from its first. Without
    a seed one is drawn; it is `generator.seed`.
    """

    #: A shop: log in, browse, search, put into the cart, pay. A copy each time it is asked for.
    ECOMMERCE_WORKFLOW = _Ecommerce()

    def __init__(self, seed: int | None = None, *, random_state: Any = None) -> None:
        seed = _options.seed(seed, random_state)
        self.seed = secrets.randbits(64) if seed is None else seed
        self._datasets = self._sessions = self._cascades = 0
        self._walk: tuple[str, Any] | None = None

    def _walk_of(self, workflow: WorkflowDefinition, max_length: int | None = None) -> Any:
        document = _document(workflow)
        if max_length is not None:
            document["max_length"] = _options.whole("max_length", max_length, 1, 10_000)
        text = _options.document("workflow", document)
        if self._walk is None or self._walk[0] != text:
            plan = _plan("traces", workflow=document, users=10**12, seed=self.seed, set={"sessions.mean": 1, "sessions.sd": 0})
            self._walk = text, _populace.Walk(plan)
        return self._walk[1]

    def generate_session(
        self,
        workflow: WorkflowDefinition,
        user_id: str,
        start_time: _datetime.datetime,
        user_type: str | None = None,
        max_length: int | None = None,
    ) -> Session:
        """One session of a user, from `start_time` (UTC if it has no zone).

        `user_type` is drawn from the workflow's shares unless it is given; `max_length` replaces the workflow's. Raises `InputError` if
        the workflow is not sound.
        """
        walk = self._walk_of(workflow, max_length)
        store = walk.session(self.seed, self._sessions, str(user_id), _microseconds("start_time", start_time), user_type)
        self._sessions += 1
        return Session._view(store, 0, workflow)

    def generate_dataset(
        self,
        num_users: int = 1000,
        workflow: WorkflowDefinition | None = None,
        sessions_per_user: tuple[float, float] = (3, 2),
        cascade_failure_rate: float = 0.0,
        date_range_days: int = 30,
        start_date: _datetime.datetime | _datetime.date | str | None = None,
        show_progress: bool = False,
        max_length: int | None = None,
    ) -> Dataset:
        """A data set of `num_users` users.

        `sessions_per_user` is the mean and the standard deviation of the number of a user's sessions, at least 1. Sessions start on the
        `date_range_days` days from `start_date` on (default 2026-01-01). `cascade_failure_rate` is the share of sessions that a cascade
        strikes. `show_progress` shows tqdm's bar.

        Raises `InputError` if the workflow is not sound or an option is out of bounds, and `KeyboardInterrupt`.
        """
        workflow = self.ECOMMERCE_WORKFLOW if workflow is None else workflow
        document = _document(workflow)
        if max_length is not None:
            document["max_length"] = _options.whole("max_length", max_length, 1, 10_000)
        try:
            mean, sd = sessions_per_user
        except (TypeError, ValueError):
            raise TypeError(f"sessions_per_user: must be (mean, standard deviation), got {sessions_per_user!r}") from None
        settings = {"sessions.mean": _options.number("sessions_per_user", mean), "sessions.sd": _options.number("sessions_per_user", sd)}
        native = _plan(
            "traces", workflow=document, users=num_users, days=date_range_days, start=start_date,
            cascade_failure_rate=cascade_failure_rate, set=settings, seed=_populace.dataset_seed(self.seed, self._datasets),
        )  # fmt: skip
        run = Run(native, show_progress)
        bar = run._bar("Generating users")
        try:
            store = _populace.Store.of_run(native, bar.callback)
        finally:
            bar.close()
        self._datasets += 1
        metadata = {"seed": run.seed, "workflow": workflow.name, "cascade_failure_rate": cascade_failure_rate}
        return Dataset._of(store, range(len(store)), name=f"synthetic_{workflow.name}", metadata=metadata, workflow=workflow, run=run)

    def inject_cascade(self, session: Session) -> Session:
        """The session as it would be had a cascade struck it from its middle on; the session itself stays as it is.

        From call floor(n/2) on, each call is slow (.60, 3 to 10 times), times out (.20: 504, 30 s), is refused (.15: 503) or goes through;
        .30 of the faults are followed by a retry, which has `attempt` 2 and `retry_of`. What follows a fault is delayed by it.
        """
        if not isinstance(session, Session):
            raise TypeError(f"session: must be a Session, got {session!r}")
        endpoints = sorted(set(session._store.unique_endpoints([session._index])))
        share = {endpoint: 1.0 / len(endpoints) for endpoint in endpoints}
        known = session._workflow.avg_response_times if session._workflow else {}
        times = {endpoint: known[endpoint] for endpoint in endpoints if endpoint in known}
        plan = _plan(
            "traces", workflow={"name": "struck", "entry_points": share, "transitions": {}, "exit_points": endpoints, "avg_response_times": times},
            users=1, seed=self.seed,
        )  # fmt: skip
        store = session._store.inject(session._index, _populace.Walk(plan), self.seed, self._cascades)
        self._cascades += 1
        return Session._view(store, 0, session._workflow)

    @staticmethod
    def validate_workflow(workflow: WorkflowDefinition) -> list[str]:
        """Every error of a workflow, in words; none if it is sound. `workflow_warnings` tells what is odd.

        >>> SyntheticGenerator.validate_workflow(WorkflowDefinition("x", {"/a": 0.5}, {}, {"/a"}))
        ['entry_points: the probabilities must sum to 1 within 0.000001, they sum to 0.5 (hint: ...']
        """
        return _populace.check_workflow(_options.document("workflow", _document(workflow)))[0]

    @staticmethod
    def workflow_warnings(workflow: WorkflowDefinition) -> list[str]:
        """What is odd about a sound workflow, such as transitions that never happen."""
        return _populace.check_workflow(_options.document("workflow", _document(workflow)))[1]

    def __repr__(self) -> str:
        return f"SyntheticGenerator(seed={self.seed})"


# --- sequences -------------------------------------------------------------------------------------------------------


class SequenceBuilder:
    """Sequences of endpoints and what can be learned from them. Retries never count.

    Its methods take a `Dataset`, its `sessions`, a list of `Session`, or a list of lists of endpoints.

    >>> builder = SequenceBuilder()
    >>> builder.get_transition_counts([["/a", "/b", "/a"], ["/a", "/b"]])
    {'/a': {'/b': 2}, '/b': {'/a': 1}}
    >>> builder.build_ngrams([["/a", "/b", "/a"], ["/a", "/b"]], n=2)
    {('/a', '/b'): 2, ('/b', '/a'): 1}
    """

    def _native(self, sessions: Any) -> Any:
        if isinstance(sessions, Dataset):
            return sessions._sequences()
        if isinstance(sessions, _Sessions):
            return sessions._dataset._store.sequences(list(sessions._places))
        if isinstance(sessions, Session):
            sessions = [sessions]
        lists = []
        for session in sessions:
            sequence = getattr(session, "endpoint_sequence", session)
            if isinstance(sequence, (str, bytes)) or not isinstance(sequence, Iterable):
                raise TypeError(f"sessions: must be sessions or lists of endpoints, got {sequence!r}")
            lists.append(list(sequence))
        return _populace.Sequences.of(lists)

    def build_sequences(self, sessions: Any, min_length: int = 1) -> list[list[str]]:
        """The endpoints of each session of at least `min_length` calls."""
        return [sequence for sequence in self._native(sessions).lists() if len(sequence) >= min_length]

    def build_labeled_sequences(self, sessions: Any, context_length: int = 5, min_context: int = 1) -> list[tuple[list[str], str]]:
        """Pairs of what came before, at most `context_length` endpoints, and the endpoint that came next."""
        return self._native(sessions).pairs(
            _options.whole("context_length", context_length, 1, 2**31), _options.whole("min_context", min_context, 1, 2**31)
        )

    def build_ngrams(self, sessions: Any, n: int = 2) -> dict[tuple[str, ...], int]:
        """How often each run of `n` endpoints came, the most frequent first."""
        return self._native(sessions).ngrams(_options.whole("n", n, 1, 2**31))

    def get_transition_counts(self, sessions: Any) -> dict[str, dict[str, int]]:
        """How often each transition happened: from → to → count."""
        return self._native(sessions).transition_counts()

    def get_transition_probabilities(self, sessions: Any, smoothing: float = 0.0) -> dict[str, dict[str, float]]:
        """The share of each transition among those that leave the same endpoint: from → to → share.

        `smoothing` is added to the count of every transition between endpoints that were left and endpoints that were entered.
        """
        return self._native(sessions).transition_probabilities(_options.number("smoothing", smoothing))

    def get_statistics(self, sessions: Any) -> dict[str, Any]:
        """Numbers of sequences, calls, endpoints and transitions; lengths; how often each endpoint came, first and last."""
        return self._native(sessions).statistics()

    extract_sequences = build_sequences
    create_labeled_pairs = build_labeled_sequences
    get_ngrams = build_ngrams
    get_sequence_statistics = get_statistics
