"""The generator of sessions."""

from __future__ import annotations

import datetime as _datetime
import secrets
from typing import Any

from populace import _options, _populace
from populace._errors import InputError
from populace._run import Run, _plan
from populace.traces._calls import Session, microseconds
from populace.traces._dataset import Dataset
from populace.traces._workflow import WorkflowDefinition, builtin, plain


class _Ecommerce:
    def __get__(self, instance: object, owner: type) -> WorkflowDefinition:
        return builtin("ecommerce")


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
        return _populace.check_component("workflow", _options.document("workflow", plain(workflow)))[0]

    @staticmethod
    def workflow_warnings(workflow: WorkflowDefinition) -> list[str]:
        """What is odd about a sound workflow, such as transitions that never happen."""
        return _populace.check_component("workflow", _options.document("workflow", plain(workflow)))[1]

    def __repr__(self) -> str:
        return f"SyntheticGenerator(seed={self.seed})"
