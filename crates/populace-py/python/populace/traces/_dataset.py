"""Data sets: sessions of many users."""

from __future__ import annotations

import datetime as _datetime
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from populace import _options, _populace
from populace._errors import InputError
from populace._run import Run
from populace.traces._calls import _SESSION_ID, _USER_ID, Session, _Sessions, moment, store_of
from populace.traces._workflow import WorkflowDefinition


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
            self._store = store_of(session.calls for session in gathered)
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
        return None if found is None else (moment(found[0]), moment(found[1]))

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
