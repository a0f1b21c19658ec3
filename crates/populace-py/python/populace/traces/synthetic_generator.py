"""Workflows, and the generator of sessions that follow them."""

from __future__ import annotations

import datetime as _datetime
import json
import os
import secrets
import warnings
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from populace import _options, _populace
from populace._errors import InputError
from populace._run import Run, _plan
from populace.traces._call import microseconds
from populace.traces.models import APICall, Dataset, Session

_SUM_TOLERANCE = 0.01
"""How far the sum of probabilities may be from 1: within it they are divided by their sum, with a warning."""
_EXACT = 1e-6
"""What the engine takes for 1."""
_MOST_KNOWN = 1_000
"""Endpoints of struck sessions that are remembered, about."""


class WorkflowDefinition:
    """How users behave: a Markov chain over endpoints.

    `entry_points` maps an endpoint to the probability that a session starts there, `transitions` an endpoint to the probabilities of the
    next; each sums to 1. `exit_points` end a session. `avg_response_times` are in milliseconds (150 where none is given).
    `user_type_distribution` maps a type to its share. `methods` gives an endpoint's HTTP method where the rule by path does not fit.
    A session has at most `max_length` calls; an exit point ends it with `exit_probability`.

    Raises `InputError` if probabilities sum to less than 0.99 or more than 1.01; a sum within these bounds is divided out when sessions
    are made, with a warning. `SyntheticGenerator.validate_workflow` finds every other problem, and generating raises `InputError`.

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
        for where, row in self._rows():
            total = _sum(row)
            if total is not None and abs(total - 1.0) > _SUM_TOLERANCE:
                raise InputError(f"{where}: the probabilities must sum to 1, they sum to {total:.10g}")

    def _rows(self) -> list[tuple[str, dict[str, float]]]:
        """What must sum to 1, and where it is."""
        transitions = [(f"transitions.{origin}", row) for origin, row in self.transitions.items() if row]
        return [("entry_points", self.entry_points), *transitions, ("user_type_distribution", self.user_type_distribution)]

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

    def to_yaml(self, filepath: str | os.PathLike[str]) -> None:
        """Write it to a file; folders that are missing are made. Raises `OSError`, `InputError` for values that have no form in YAML."""
        target = Path(_options.path("filepath", filepath))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        partial.write_text(_populace.json_to_yaml(_options.document("workflow", self.to_dict())), encoding="utf-8")
        partial.replace(target)

    @classmethod
    def from_yaml(cls, filepath: str | os.PathLike[str]) -> WorkflowDefinition:
        """Read it from a file. Raises `OSError`, `InputError` with line and column."""
        source = Path(_options.path("filepath", filepath))
        try:
            text = source.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{source}: is not text in UTF-8 ({error})") from None
        document = json.loads(_populace.yaml_to_json(str(source), text))
        if not isinstance(document, dict):
            raise InputError(f"{source}: is not a workflow")
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


def _sum(row: Mapping[str, float]) -> float | None:
    """The sum of probabilities; `None` if one is no number, which the check of the whole document finds."""
    try:
        return sum(float(Fraction(share) if isinstance(share, str) else share) for share in row.values())
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def plain(workflow: Any) -> dict[str, Any]:
    """The document of a workflow. Probabilities that nearly sum to 1, such as three of 0.333, are divided by their sum."""
    if not isinstance(workflow, WorkflowDefinition):
        raise TypeError(f"workflow: must be a WorkflowDefinition, got {workflow!r}")
    document = workflow.to_dict()
    for where, row in workflow._rows():
        total = _sum(row)
        if total is None or not _EXACT < abs(total - 1.0) <= _SUM_TOLERANCE:
            continue
        warnings.warn(f"{workflow.name}: {where}: the probabilities sum to {total:.10g}; they are divided by their sum", stacklevel=4)
        key, _, origin = where.partition(".")
        divided = {name: float(Fraction(share)) / total for name, share in row.items()}
        document[key] = {**document[key], origin: divided} if origin else divided
    return document


def builtin(name: str) -> WorkflowDefinition:
    return WorkflowDefinition.from_dict(json.loads(_populace.yaml_to_json(name, dict(dict(_populace.components())["workflow"])[name])))


def create_simple_workflow() -> WorkflowDefinition:
    """Three endpoints, for tests.

    >>> create_simple_workflow().transitions["/start"]
    {'/middle': 0.7, '/end': 0.3}
    """
    return builtin("simple")


def create_microservices_workflow() -> WorkflowDefinition:
    """The services of a shop behind a gateway."""
    return builtin("microservices")


class _Later:
    """Columns that are made when they are first asked for."""

    def __init__(self, make: Callable[[], _populace.Store]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        if name == "_store":
            self._store = self._make()
            return self._store
        return getattr(self._store, name)


class SyntheticGenerator:
    """Makes sessions by walking over a workflow.

    The same seed makes the same data, call after call of its methods: the second data set of a generator differs from its first. Without
    a seed one is drawn; it is `generator.seed`.
    """

    #: A shop: log in, browse, search, put into the cart, pay. One for all generators: who changes it changes it for all.
    ECOMMERCE_WORKFLOW = builtin("ecommerce")

    def __init__(self, seed: int | None = None, *, random_state: Any = None) -> None:
        seed = _options.seed(seed, random_state)
        self.seed = secrets.randbits(64) if seed is None else seed
        self._datasets = self._sessions = self._cascades = 0
        self._walk: tuple[str, Any] | None = None
        self._struck: tuple[set[str], Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_walk": None, "_struck": None}

    def _walk_of(self, workflow: WorkflowDefinition, max_length: int | None = None) -> Any:
        document = plain(workflow)
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
        store = walk.session(self.seed, self._sessions, str(user_id), microseconds("start_time", start_time), user_type)
        self._sessions += 1
        return Session._view(store, 0, workflow)

    def generate_dataset(
        self,
        num_users: int = 1000,
        sessions_per_user: tuple[float, float] = (3, 2),
        workflow: WorkflowDefinition | None = None,
        date_range_days: int = 30,
        start_date: _datetime.datetime | _datetime.date | str | None = None,
        cascade_failure_rate: float = 0.0,
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
        document = plain(workflow)
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
        metadata = {
            "generator": "SyntheticGenerator", "seed": run.seed, "workflow": workflow.name, "num_users": num_users,
            "date_range_days": date_range_days, "cascade_failure_rate": cascade_failure_rate,
        }  # fmt: skip
        return Dataset._of(store, f"synthetic_{workflow.name}", metadata, workflow, run)

    def inject_cascade(self, session: Session) -> Session:
        """The session as it would be had a cascade struck it from its middle on; the session itself stays as it is.

        From call floor(n/2) on, each call is slow (.60, 3 to 10 times), times out (.20: 504, 30 s), is refused (.15: 503) or goes through;
        .30 of the faults are followed by a retry, which has `attempt` 2 and `retry_of`. What follows a fault is delayed by it.
        """
        if not isinstance(session, Session):
            raise TypeError(f"session: must be a Session, got {session!r}")
        seed, ordinal, store = self.seed, self._cascades, session._store
        self._cascades += 1
        times = {} if session._workflow is None else dict(session._workflow.avg_response_times)
        if store is not None and session._is_untouched():
            store = store._store if isinstance(store, _Later) else store
            index = session._index

            def made() -> Any:
                return self._striker(set(store.endpoint_sequence(index)), times).strike(store, index, seed, ordinal)

            return Session._view(_Later(made), 0, session._workflow)

        def struck(kinds: list[type[APICall]], calls: list[dict[str, Any]]) -> tuple[list[APICall], _datetime.timedelta]:
            found: tuple[list[APICall], _datetime.timedelta] | None = None
            known = self._struck
            for call in calls:
                if call["timestamp"] is None:
                    raise InputError(f"call {call['call_id']} has no timestamp")
            if not calls:
                return [], _datetime.timedelta()
            if known is not None and known[1] == times:
                found = known[2].inject(kinds, calls, seed, ordinal)
            if found is None:
                found = self._striker({call["endpoint"] for call in calls}, times).inject(kinds, calls, seed, ordinal)
            assert found is not None, "the striker knows every endpoint"
            return found

        return session._struck(struck)

    def _striker(self, endpoints: set[str], times: dict[str, float]) -> Any:
        """What strikes sessions: the endpoints' response times, of those of the workflow and any others."""
        if self._struck is None or self._struck[1] != times or not endpoints <= self._struck[0]:
            known = endpoints if self._struck is None or self._struck[1] != times or len(self._struck[0]) > _MOST_KNOWN else endpoints | self._struck[0]
            document = {
                "name": "struck", "entry_points": {endpoint: 1.0 / len(known) for endpoint in known}, "transitions": {},
                "exit_points": sorted(known), "avg_response_times": {name: time for name, time in times.items() if name in known},
            }  # fmt: skip
            self._struck = known, times, _populace.Walk(_plan("traces", workflow=document, users=1, seed=self.seed))
        return self._struck[2]

    @staticmethod
    def validate_workflow(workflow: WorkflowDefinition) -> list[str]:
        """Every error of a workflow, in words; none if it is sound. `workflow_warnings` has what is odd.

        >>> SyntheticGenerator.validate_workflow(WorkflowDefinition("x", {"/a": 1}, {}, {"/b"}))
        ['transitions./a: dead end: it has no transitions and is not an exit point (hint: ...']
        """
        return _populace.check_component("workflow", _options.document("workflow", plain(workflow)))[0]

    @staticmethod
    def workflow_warnings(workflow: WorkflowDefinition) -> list[str]:
        """What is odd about a sound workflow, such as transitions that never happen."""
        return _populace.check_component("workflow", _options.document("workflow", plain(workflow)))[1]

    def __repr__(self) -> str:
        return f"SyntheticGenerator(seed={self.seed})"
