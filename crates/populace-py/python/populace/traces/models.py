"""Calls, sessions and data sets, with the fields and methods of the replaced generator's `preprocessing.models`.

A call is a plain object. The sessions of a generated or loaded data set read their calls from Arrow columns when they are first asked
for, and keep them; as long as nobody has asked, they are counted natively. Times have no zone and are in UTC.
"""

from __future__ import annotations

import datetime as _datetime
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from populace import _options, _populace
from populace._errors import InputError
from populace.traces._call import CALL, APICall as APICall, Strike, made, microseconds, moment, new, parsed, snapshot, utc

_Item = TypeVar("_Item")


@dataclass(repr=False)
class Session:
    """The calls of one visit, in order. `calls` has the retries too; `endpoint_sequence` leaves them out.

    The end is that of the last response in what is generated or loaded; `append_call` moves it to the start of a later call.
    """

    session_id: str
    user_id: str
    user_type: str | None
    start_timestamp: _datetime.datetime
    end_timestamp: _datetime.datetime | None = None
    calls: list[APICall] = field(default_factory=list)

    def __post_init__(self) -> None:
        _options.text("session_id", self.session_id)
        _options.text("user_id", self.user_id)
        self.start_timestamp = utc("start_timestamp", self.start_timestamp)
        if self.end_timestamp is not None:
            self.end_timestamp = utc("end_timestamp", self.end_timestamp)
            if self.end_timestamp < self.start_timestamp:
                raise InputError(f"end_timestamp: must not be before the start, {self.start_timestamp}, got {self.end_timestamp}")
        if not isinstance(self.calls, list):
            self.calls = list(self.calls)
        for call in self.calls:
            self._check(call)

    def _check(self, call: Any) -> None:
        if not isinstance(call, APICall):
            raise TypeError(f"calls: must be of APICall, got {call!r}")
        if call.session_id != self.session_id:
            raise InputError(f"call {call.call_id} has session_id {call.session_id}, the session has {self.session_id}")

    @classmethod
    def _view(cls, store: Any, index: int, workflow: Any = None) -> Session:
        view = new(cls)
        view._store, view._index = store, index
        if workflow is not None:
            view._workflow = workflow
        return view

    @classmethod
    def _plain(
        cls, session_id: str, user_id: str, user_type: str | None, start: _datetime.datetime, end: _datetime.datetime | None,
        calls: list[APICall], workflow: Any,
    ) -> Session:  # fmt: skip
        """A session whose values are known to be sound."""
        session = new(cls)
        session.session_id, session.user_id, session.user_type = session_id, user_id, user_type
        session.start_timestamp, session.end_timestamp, session.calls = start, end, calls
        if workflow is not None:
            session._workflow = workflow
        return session

    def _struck(self, strike: Strike) -> Session:
        """The same session, whose calls and end `strike` makes of those of this moment when they are first asked for."""
        session = new(type(self))
        session.session_id, session.user_id, session.user_type = self.session_id, self.user_id, self.user_type
        session.start_timestamp, session._strike = self.start_timestamp, (strike, *snapshot(self.calls), self.end_timestamp)
        if self._workflow is not None:
            session._workflow = self._workflow
        return session

    if TYPE_CHECKING:  # attributes that are no fields

        def __setattr__(self, name: str, value: Any) -> None: ...

    def _head(self) -> dict[str, Any]:
        *head, start, end = self._store.head(self._index)
        return dict(zip(_SESSION, (*head, moment(start), None if end is None else moment(end))))

    def __getattr__(self, name: str) -> Any:
        # What a view on columns, or a struck session, has not been asked for yet.
        if self._strike is not None and name in ("calls", "end_timestamp"):
            values, (strike, kinds, calls, end) = vars(self), self._strike
            start = calls[0]["timestamp"] if calls else None
            struck, last = strike(kinds, calls)
            values.setdefault("calls", struck)
            values.setdefault("end_timestamp", end if end is None or start is None else max(end, start + last))
            values["_strike"] = None
            return values[name]
        if self._store is None or name not in _SESSION:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        values = vars(self)
        for key, value in self._head().items():
            values.setdefault(key, value)
        if name == "calls":
            session = (self.session_id, self.user_id, self.user_type)
            values["calls"] = [
                made(session, call_id, endpoint, method, {} if params in (None, "{}") else json.loads(params), moment(start), time, status, size, 1 if attempt is None else attempt, retried)  # fmt: skip
                for call_id, endpoint, method, params, start, time, status, size, attempt, retried in self._store.rows(self._index)
            ]
            values["_store"] = None
        return values[name]

    def __getstate__(self) -> dict[str, Any]:
        self.calls
        return {name: value for name, value in vars(self).items() if name not in ("_store", "_index", "_strike")}

    def _is_untouched(self) -> bool:
        """Whether it is still what the columns say."""
        values = vars(self)
        return self._store is not None and (_SESSION[0] not in values or all(values[key] == value for key, value in self._head().items()))

    @property
    def start_time(self) -> _datetime.datetime:
        """When it started, in UTC."""
        return self.start_timestamp

    @property
    def end_time(self) -> _datetime.datetime | None:
        """When it ended, in UTC."""
        return self.end_timestamp

    @property
    def duration_seconds(self) -> float:
        """From start to end, in seconds; 0 without an end."""
        return 0.0 if self.end_timestamp is None else (self.end_timestamp - self.start_timestamp).total_seconds()

    @property
    def num_calls(self) -> int:
        """Number of calls, retries counted."""
        return len(self.calls) if self._store is None else self._store.total_calls([self._index])

    @property
    def endpoint_sequence(self) -> list[str]:
        """The endpoints in order, retries left out."""
        if self._store is None:
            return [call.endpoint for call in self.calls if call.attempt == 1 and call.retry_of is None]
        store: _populace.Store = self._store
        return store.endpoint_sequence(self._index)

    @property
    def unique_endpoints(self) -> list[str]:
        """The endpoints, each once, in alphabetical order."""
        return sorted(set(self.endpoint_sequence))

    @property
    def has_errors(self) -> bool:
        """Whether a call did not end with status 200."""
        return any(call.status_code != 200 for call in self.calls)

    def get_endpoint_transitions(self) -> list[tuple[str, str]]:
        """Each endpoint and the next, retries left out."""
        sequence = self.endpoint_sequence
        return list(zip(sequence, sequence[1:]))

    def append_call(self, call: APICall) -> None:
        """Add a call, which must have the session's id; a call after the end moves the end to its start."""
        self._check(call)
        self.calls.append(call)
        if self.end_timestamp is None or call.timestamp > self.end_timestamp:
            self.end_timestamp = call.timestamp

    def to_dict(self) -> dict[str, Any]:
        """Its values by name, for `json.dumps`."""
        return {
            "session_id": self.session_id,
            "user_id": self.user_id,
            "user_type": self.user_type,
            "start_timestamp": self.start_timestamp.isoformat(),
            "end_timestamp": None if self.end_timestamp is None else self.end_timestamp.isoformat(),
            "calls": [call.to_dict() for call in self.calls],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Session:
        """What `to_dict` gave. Raises `InputError` for a key that is unknown."""
        values = parsed(data, _SESSION, "start_timestamp", "end_timestamp")
        return cls(**{**values, "calls": [APICall.from_dict(call) for call in values.get("calls") or []]})

    def __len__(self) -> int:
        return self.num_calls

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Session {self.session_id} of {self.user_id}: {' → '.join(self.endpoint_sequence)}>"


_SESSION = tuple(each.name for each in fields(Session))
# No fields, and no default that would hide what a view has not been asked for yet.
del Session.end_timestamp
for _name in ("_store", "_strike", "_workflow"):
    setattr(Session, _name, None)


def store_of(sessions: Iterable[Session]) -> tuple[Any, list[int]]:
    """The columns of some sessions, and which of theirs they are. Raises `InputError` if two are one."""
    sessions = list(sessions)
    keys = [(session.session_id, session.user_id) for session in sessions]
    if len(set(keys)) < len(keys):
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise InputError(f"two sessions have the id {twice[0]}; in a table of calls they would be one")
    store = None if not sessions else sessions[0]._store
    if store is not None and all(session._store is store and session._is_untouched() for session in sessions):
        return store, [session._index for session in sessions]
    empty = sum(not session.num_calls for session in sessions)
    if empty:
        warnings.warn(f"{empty:,} sessions without calls are left out: a table of calls cannot hold them", stacklevel=4)
    columns: dict[str, list[Any]] = {name: [] for name in (*CALL, "session_start", "session_end")}
    for session in sessions:
        times = [microseconds("start_timestamp", session.start_timestamp), session.end_timestamp]
        times[1] = None if times[1] is None else microseconds("end_timestamp", times[1])
        for call in session.calls:
            values = {
                **vars(call), "user_id": session.user_id, "user_type": session.user_type or call.user_type,
                "timestamp": microseconds("timestamp", call.timestamp), "params": _json("params", call.params),
                "session_start": times[0], "session_end": times[1],
            }  # fmt: skip
            for name, column in columns.items():
                column.append(values[name])
    store = _populace.Store.of_columns(columns)
    return store, list(range(len(store)))


def _json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: has no form in a file ({error})") from None


def sequences_of(sessions: Any) -> _populace.Sequences:
    """The native sequences of a data set, of sessions, or of lists of endpoints."""
    found: _populace.Sequences
    if isinstance(sessions, Dataset):
        if sessions._store is not None:
            found = sessions._store.sequences(list(range(len(sessions._store))))
            return found
        sessions = sessions.sessions
    sessions = [sessions] if isinstance(sessions, Session) else list(sessions)
    store = getattr(sessions[0], "_store", None) if sessions else None
    if store is not None and all(getattr(session, "_store", None) is store for session in sessions):
        found = store.sequences([session._index for session in sessions])
        return found
    lists = []
    for session in sessions:
        sequence = getattr(session, "endpoint_sequence", session)
        if isinstance(sequence, (str, bytes)) or not isinstance(sequence, Iterable):
            raise TypeError(f"sessions: must be sessions or lists of endpoints, got {sequence!r}")
        lists.append(list(sequence))
    return _populace.Sequences.of(lists)


def cut(items: list[_Item], train_ratio: Any) -> tuple[list[_Item], list[_Item]]:
    """The first of some items, `train_ratio` of them, and the rest."""
    share = _options.number("train_ratio", train_ratio)
    if share is None or not 0 < share < 1:
        raise InputError(f"train_ratio: must be between 0 and 1, got {train_ratio!r}")
    place = int(len(items) * train_ratio)
    return items[:place], items[place:]


@dataclass(repr=False)
class Dataset:
    """Sessions, with what is asked of them as a whole.

    `sessions` is a list; of a generated or loaded data set it is made when it is first asked for. `workflow` and `run` are those that it
    was generated by; a copy by `pickle` or `copy` has no `run`.
    """

    name: str
    sessions: list[Session] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _options.text("name", self.name)
        if not isinstance(self.sessions, list):
            self.sessions = list(self.sessions)
        self.metadata = {} if self.metadata is None else self.metadata
        for session in self.sessions:
            if not isinstance(session, Session):
                raise TypeError(f"sessions: must be of Session, got {session!r}")

    if TYPE_CHECKING:  # attributes that are no fields

        def __setattr__(self, name: str, value: Any) -> None: ...

    @classmethod
    def _of(cls, store: Any, name: str, metadata: dict[str, Any], workflow: Any = None, run: Any = None) -> Dataset:
        dataset = new(cls)
        dataset._store, dataset.name, dataset.metadata, dataset.workflow, dataset.run = store, name, metadata, workflow, run
        return dataset

    def __getattr__(self, name: str) -> Any:
        if self._store is None or name != "sessions":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        store, workflow = self._store, self.workflow
        self.sessions = [Session._view(store, index, workflow) for index in range(len(store))]
        vars(self)["_store"] = None
        return self.sessions

    def __getstate__(self) -> dict[str, Any]:
        self.sessions
        return {name: value for name, value in vars(self).items() if name not in ("_store", "run")}

    def _native(self, what: str, otherwise: Callable[[], _Item]) -> _Item:
        found: _Item = otherwise() if self._store is None else getattr(self._store, what)(list(range(len(self._store))))
        return found

    @property
    def num_sessions(self) -> int:
        """Number of sessions."""
        return len(self.sessions if self._store is None else self._store)

    @property
    def total_calls(self) -> int:
        """Number of calls, retries counted."""
        return self._native("total_calls", lambda: sum(session.num_calls for session in self.sessions))

    @property
    def unique_users(self) -> set[str]:
        """Ids of the users."""
        return set(self._native("users", lambda: [session.user_id for session in self.sessions]))

    @property
    def num_unique_users(self) -> int:
        """Number of users."""
        return len(self.unique_users)

    @property
    def unique_endpoints(self) -> set[str]:
        """The endpoints that were called."""
        return set(self.count_endpoint_occurrences())

    @property
    def date_range(self) -> tuple[_datetime.datetime | None, _datetime.datetime | None]:
        """First start and last end of a session, in UTC; `None` twice of no session."""
        if self._store is not None:
            found = self._store.range(list(range(len(self._store))))
            return (None, None) if found is None else (moment(found[0]), moment(found[1]))
        starts = [session.start_timestamp for session in self.sessions]
        ends = [session.end_timestamp or session.start_timestamp for session in self.sessions]
        return min(starts, default=None), max(ends, default=None)

    def get_all_sequences(self) -> list[list[str]]:
        """The endpoints of each session in order, retries left out; sessions without calls have none."""
        return sequences_of(self).longer(1).lists()

    def count_endpoint_occurrences(self) -> dict[str, int]:
        """How often each endpoint was called, retries counted."""

        def counted() -> dict[str, int]:
            counts: dict[str, int] = {}
            for session in self.sessions:
                for call in session.calls:
                    counts[call.endpoint] = counts.get(call.endpoint, 0) + 1
            return counts

        return self._native("endpoint_counts", counted)

    def get_sessions_by_user(self, user_id: str) -> list[Session]:
        """The sessions of a user, in their order."""
        return [session for session in self.sessions if session.user_id == user_id]

    def split(
        self, train_ratio: float | None = None, val: float | None = None, test: float | None = None, seed: int = 42, by: str | None = None,
        *, train: float | None = None,
    ) -> tuple[Dataset, ...]:  # fmt: skip
        """Two data sets, train and test, or three with `val`: train, validation, test.

        `split(0.8)` takes the first sessions in their order, 80% of them, and the rest. `split(0.7, 0.15)` and whatever has a `by` deals
        out: by `user` (the default of three), no user is in two of them, and the same user falls into the same one however many there
        are; by `session`, sessions are dealt out; by `time`, the sessions that start first come first. `train` is another name of
        `train_ratio`; the test's share is what is left. Raises `InputError` for shares that are none.
        """
        if train is not None and train_ratio is not None:
            raise InputError("train and train_ratio are two names of one share; give one of them")
        share = train if train_ratio is None else train_ratio
        if val is None and by is None:
            share = 1 - _options.number("test", test) if share is None and test is not None else 0.8 if share is None else share
            parts: Sequence[list[Session]] = cut(self.sessions, share)
        else:
            by = by or "user"
            first = _options.number("train_ratio", (0.8 if val is None else 0.7) if share is None else share)
            second = _options.number("val", val) or 0.0
            last = 1.0 - first - second if test is None else _options.number("test", test)
            if min(first, second, last) < -1e-9 or abs(first + second + last - 1.0) > 1e-9:
                raise InputError(f"split: the shares must be 0 or more and sum to 1, got {first}, {second} and {last}")
            share, parts = first, self._dealt(first, second, seed, by)
            parts = parts if val is not None else (parts[0], parts[2])
        names = ("train", "test") if len(parts) == 2 else ("train", "val", "test")
        made = []
        for part, name in zip(parts, names):
            about = {**self.metadata, "split_type": name, "train_ratio": share, "parent_dataset": self.name}
            made.append(Dataset(f"{self.name}_{name}", part, about))
            made[-1].workflow, made[-1].run = self.workflow, self.run
        return tuple(made)

    def _dealt(self, train: float, val: float, seed: int, by: str) -> tuple[list[Session], ...]:
        if by == "time":
            places = sorted(range(len(self.sessions)), key=lambda place: self.sessions[place].start_timestamp)
            first, second = round(train * len(places)), round((train + val) * len(places))
            return tuple([self.sessions[place] for place in sorted(part)] for part in (places[:first], places[first:second], places[second:]))
        if by not in ("user", "session"):
            raise InputError(f"split: by must be user, session or time, got {by!r}")
        parts: tuple[list[Session], ...] = ([], [], [])
        seed = _options.whole("seed", seed, 0, _options.MAX_SEED)
        for session in self.sessions:
            share = _populace.share(session.user_id if by == "user" else session.session_id, seed)
            parts[0 if share < train else 1 if share < train + val else 2].append(session)
        return parts

    def _columns(self) -> tuple[Any, list[int]]:
        return store_of(self.sessions) if self._store is None else (self._store, list(range(len(self._store))))

    def save_to_parquet(self, filepath: str | os.PathLike[str]) -> None:
        """Write its calls, name and metadata to a Parquet file, whole or not at all; folders that are missing are made.

        Raises `FileError`, and `InputError` for values that have no form in a file.
        """
        target = Path(_options.path("filepath", filepath))
        about = _json("metadata", {"dataset_name": self.name, "metadata": self.metadata, "num_sessions": len(self), "total_calls": self.total_calls})
        store, places = self._columns()
        target.parent.mkdir(parents=True, exist_ok=True)
        store.save(places, target, about)

    @classmethod
    def load_from_parquet(cls, filepath: str | os.PathLike[str], name: str | None = None) -> Dataset:
        """The sessions whose calls are in a file (Parquet, CSV, JSON Lines or Arrow), such as `calls.parquet` of a run.

        Needs session_id, user_id, endpoint and timestamp; the calls of a session may be scattered. Rows that are left out are warned of.
        Raises `InputError`.
        """
        store, remarks, about = _populace.Store.load(_options.path("filepath", filepath))
        for remark in remarks:
            warnings.warn(remark, stacklevel=2)
        known = json.loads(about) if about else {}
        return cls._of(store, name or known.get("dataset_name") or "dataset", known.get("metadata") or {})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Its calls as an Arrow stream: `pyarrow.table(dataset)`, `polars.DataFrame(dataset)`."""
        store, places = self._columns()
        return store.capsule(places)

    def to_pandas(self) -> Any:
        """Its calls as a data frame. Needs pandas and pyarrow."""
        import pyarrow

        return pyarrow.table(self).to_pandas()

    def __len__(self) -> int:
        return self.num_sessions

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Session]:
        return iter(self.sessions)

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {self.num_sessions:,} sessions of {self.num_unique_users:,} users, {self.total_calls:,} calls>"

    def _repr_html_(self) -> str:
        import html

        counts = sorted(self.count_endpoint_occurrences().items(), key=lambda pair: (-pair[1], pair[0]))
        rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{count:,}</td></tr>" for name, count in counts)
        return f"<p>{html.escape(repr(self)[1:-1])}</p><table><tr><th>endpoint</th><th>calls</th></tr>{rows}</table>"


for _name in ("_store", "workflow", "run"):
    setattr(Dataset, _name, None)
