"""Policies of sending: the same people mailed by another plan, what that is worth, and what a log tells of it.

>>> import populace as pp
>>> log = pp.generate("email", users=100, days=40, seed=42, policy="explore")
>>> learned = pp.policy.learn(log, "best_hour", train_until="2025-11-20")
>>> values = pp.policy.value(log, {"learned": learned, "oracle": "oracle"})
>>> values.estimate("oracle").value > values.estimate("the run").value
True
>>> pp.policy.replay(log, policy="oracle")
<Run of email: 100 users, seed 42; events, users, truth/users, truth/user_rates, truth/messages, truth/timing, decisions, truth/decisions>
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Union, get_args

from populace import _options, _populace, _types
from populace._errors import InputError
from populace._result import Result, directory, html, html_table
from populace._result import reading as _reading
from populace._run import Run, _plan
from populace._run import open as _open_run
from populace._score import Estimate
from populace._slots import kept

if TYPE_CHECKING:
    import pandas

    Policy = Union[_types.Path, Mapping[str, Any], "Learned", pandas.DataFrame]
    """A file, a built-in policy by name, a document, what was learned, or a data frame of recipient_id and slot."""

    Schedule = Union[_types.Path, pandas.DataFrame]
    """A file, or a data frame of recipient_id and send_time."""

__all__ = ["Evaluation", "Learned", "Values", "evaluate", "learn", "replay", "to_obp", "value"]

Reward = Union[str, Mapping[str, float]]
Rule = Literal["best_hour", "most_opens"]
Per = Literal["message", "decision", "user"]
Over = Literal["user", "decision"]
_SCHEDULE = ("recipient_id", "send_time", "campaign_id", "subject", "decision_id")
OWN = "the run"
"""What the run's own policy is called."""


class Values(Result):
    """What policies are worth: `policies`, with the run's own first, and `differences`, each against the first."""

    def estimate(self, policy: str, per: Per = "message") -> Estimate:
        """The reward of a policy a message, a decision or a user. Raises `KeyError` if there is no such policy."""
        return _measured(_named(self["policies"], "policy", policy), per)

    def difference(self, policy: str, per: Literal["message", "user"] = "message") -> Estimate:
        """By how much a policy is better than the run's own, from pairs of the same people. Raises `KeyError` if there is no such policy."""
        return _measured(_named(self["differences"], "second", policy), per)

    def to_frame(self) -> pandas.DataFrame:
        """A row for each policy. Needs pandas."""
        return _frame(self["policies"], "policy")

    def differences(self) -> pandas.DataFrame:
        """A row for each policy but the first, minus the first. Needs pandas."""
        return _frame(self["differences"], "second")

    def __repr__(self) -> str:
        return f"<Values of {len(self['policies'])} policies: {self['users']:,} users, {self['days']} days>"

    def _repr_html_(self) -> str:
        return f"<p>{html(repr(self)[1:-1])}</p>" + _tables(self["policies"]) + _tables(self["differences"])


class Learned(Result):
    """A policy that was learned: `slots` has the slot of each recipient, `messages` says from how many it was learned."""

    def to_frame(self) -> pandas.DataFrame:
        """A row for each recipient: `slot`. Needs pandas."""
        return _frame(self["slots"], "recipient_id")

    def to_csv(self, path: _types.Path) -> None:
        """Write the slots, as `populace policy learn` does."""
        with open(_options.path("path", path), "w", encoding="utf-8", newline="") as file:
            file.write(_csv((row["recipient_id"], row["slot"]) for row in self["slots"]))

    def __repr__(self) -> str:
        return f"<Learned {self['rule']}: slots of {len(self['slots']):,} recipients, from {self['messages']:,} messages>"

    def _repr_html_(self) -> str:
        return f"<p>{html(repr(self)[1:-1])}</p>" + _tables(self["slots"][:5]) + ("<p>…</p>" if len(self["slots"]) > 5 else "")


class Evaluation(Result):
    """Estimates of a target policy from the log of another: `estimators`, held against the `truth`."""

    @property
    def truth(self) -> Estimate:
        """The reward a decision when the same people are mailed by the target."""
        return _measured(self, "truth")

    def estimate(self, estimator: str, over: Over = "user") -> Estimate:
        """What an estimator says, with its standard error by user (for people like these) or over decisions (for these people).
        Raises `KeyError` if there is no such estimator."""
        found = _named(self["estimators"], "estimator", estimator)
        _options.choice("over", over, get_args(Over))
        return Estimate(found["estimate"], found["standard_error_by_user" if over == "user" else "standard_error"])

    def to_frame(self) -> pandas.DataFrame:
        """A row for each estimator. Needs pandas."""
        return _frame(self["estimators"], "estimator")

    def __repr__(self) -> str:
        return f"<Evaluation of {self['target']}: {self['truth']['value']:.4g} a decision in truth, {self['decisions']:,} decisions of {self['users']:,} users>"

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{html(note)}</li>" for note in self["notes"])
        return f"<p>{html(repr(self)[1:-1])}</p>" + _tables(self["estimators"]) + f"<ul>{notes}</ul>"


@_options.keywords
def replay(
    run: Run | _types.Path,
    *,
    policy: Policy | None = None,
    schedule: Schedule | None = None,
    days: int | None = None,
    progress: _types.Progress = None,
) -> Run:
    """The run of the same people under another policy, or for more or fewer `days`: `populace policy replay`.

    `policy` is a file, a built-in one by name, a dictionary, what `learn` gives, or a data frame of recipient_id and slot; slots are then
    those of the run's own policy. Nothing is generated until rows are asked for.

    `schedule`, in the place of `policy`, is a plan of your own: a file, or a data frame of recipient_id and send_time, a moment with its
    zone, and if you like of campaign_id, subject and decision_id. A row is a message that was due; what has no row is not sent. Its
    file must stay where it is for as long as rows are asked for.

    Raises `InputError` for a policy or a schedule that is wrong, or a run of which these are some users alone.
    """
    source = _whole(run)
    if (policy is None) == (schedule is None):
        raise InputError("replay: give a policy or a schedule, and not both")
    if schedule is not None:
        file = os.path.abspath(_file_of("schedule", schedule, _SCHEDULE, 2))
        document = json.loads(_populace.schedule_component(source._native, file))
        made = Run(_plan(source.scenario, seed=source.seed, policy=document, days=days, schedule=file, parent=_parent(source)), progress)
        if not isinstance(schedule, (str, os.PathLike)):
            with open(file, encoding="utf-8", newline="") as rows:
                made._rows = rows.read()
        return made
    text = _slots_of(policy)
    path = None if text is None else kept(text)
    given: Any = policy if path is None else path
    if isinstance(given, (str, os.PathLike)):
        is_document, named = _populace.policy_component(source._native, _options.path("policy", given))
        given = json.loads(named) if is_document else named
    made = Run(_plan(source.scenario, seed=source.seed, policy=given, days=days, parent=_parent(source)), progress)
    made._slots = None if path is None or text is None else (path, text)
    return made


@_options.keywords
def value(
    run: Run | _types.Path,
    policies: Policy | Sequence[Policy] | Mapping[str, Policy],
    *,
    reward: Reward = "open",
    days: int | None = None,
    expected: bool = True,
    discount: float = 1.0,
    threads: int | None = None,
    progress: _types.Reading = None,
) -> Values:
    """What policies are worth on the people of a run, against the run's own, with paired differences: `populace policy value`.

    `policies` is a list of what `replay` takes, or a dictionary of such by name. `reward` is "open", "click", "open_within:24h" or a
    dictionary such as `{"open": 1, "click": 3, "send": -0.002}`. Probabilities are summed; `expected=False` takes what happened.
    `discount`, from 0 to 1, is what a reward a day later is worth to a user's value. `progress` hears of users.

    Raises `InputError` for a policy or a reward that is wrong.
    """
    source = _whole(run)
    # A run without a policy mails as `scheduled` does.
    own: Any = source.scenario["policy"] if _populace.has_policy(source._native) else "scheduled"
    runs = [(OWN, replay(source, policy=own, days=days)), *((name, replay(source, policy=one, days=days)) for name, one in _names(policies))]
    named = [(name, one._native) for name, one in runs]
    with _reading("policy value", threads, progress, discount=_within("discount", discount)) as options:
        return Values(json.loads(_populace.policy_value(named, _reward(reward), bool(expected), options)))


@_options.keywords
def learn(
    run: Run | _types.Path,
    rule: Rule = "best_hour",
    *,
    train_until: _types.Date = None,
    threads: int | None = None,
    progress: _types.Reading = None,
) -> Learned:
    """Learn the slot of each recipient from the messages of a run, those before `train_until` alone: `populace policy learn`.

    `rule` is "best_hour", the slot with the greatest estimated open rate, shrunk to that of everybody, or "most_opens", the usual mistake.

    Raises `InputError` if no message was sent before that day.
    """
    wanted = _options.choice("rule", _options.text("rule", rule), get_args(Rule))
    with _reading("policy learn", threads, progress, train_until=_options.date("train_until", train_until)) as options:
        slots, messages = _populace.policy_learn(wanted, directory(run), options)
    return Learned(rule=wanted, messages=messages, slots=[{"recipient_id": recipient, "slot": slot} for recipient, slot in slots])


@_options.keywords
def evaluate(
    run: Run | _types.Path,
    target: Policy,
    *,
    reward: Reward = "open",
    start: _types.Date = None,
    allow_unsupported: bool = False,
    clip: float = 10.0,
    switch: float = 10.0,
    shrinkage: float = 100.0,
    span: int = 3,
    q_hat: _types.Path | pandas.DataFrame | None = None,
    replicates: int = 0,
    threads: int | None = None,
    progress: _types.Reading = None,
) -> Evaluation:
    """Estimate a target policy from the log of a run, and hold the estimates against the truth: `populace policy evaluate`.

    `start` leaves out earlier windows, such as those that the target was learned from. A target of which more than 1% is never done in the
    log is refused unless `allow_unsupported`.

    `clip` is the greatest weight of ips_clip, `switch` the weight above which switch_dr takes the model alone, `shrinkage` that of dros,
    `span` how many decisions of a recipient have their weights multiplied by pdis. `q_hat` has values of your own in the place of the
    model: a file, or a data frame of decision_id, action and q. With `replicates` the estimators are tried on so many logs of other people.

    Raises `InputError` if the run has no policy, or the target other slots.
    """
    named = (_name(target) or "the target", replay(run, policy=target)._native)
    given: dict[str, Any] = {
        "start": _options.date("start", start),
        "allow_unsupported": bool(allow_unsupported),
        "clip": _above_0("clip", clip),
        "switch": _above_0("switch", switch),
        "shrinkage": _above_0("shrinkage", shrinkage),
        "span": _options.whole("span", span, 1, 1000),
        "q_hat": None if q_hat is None else _file_of("q_hat", q_hat, ("decision_id", "action", "q"), 3),
        "replicates": _options.whole("replicates", replicates, 0, 1_000_000),
    }
    with _reading("policy evaluate", threads, progress, **given) as options:
        return Evaluation(json.loads(_populace.policy_evaluate(directory(run), named, _reward(reward), options)))


@_options.keywords
def to_obp(
    run: Run | _types.Path,
    *,
    target: Policy | None = None,
    reward: Reward = "open",
    start: _types.Date = None,
    threads: int | None = None,
    progress: _types.Reading = None,
) -> dict[str, Any]:
    """The decisions of a run's log as Open Bandit Pipeline takes them: `run.to_obp()`. Needs NumPy.

    A round is a decision on a recipient who is not held out, an action a slot; where decisions of the log, or of the target, may send
    nothing, the last action is that. `context` is what the sender knows when the window begins; `context_names` and `recipient_id` name
    its columns and the rounds' people. `expected_reward` is the true value of each slot by rates and hours alone; `None` where `reward` is
    not "open". `estimated_rewards_by_reg_model` has the model of `evaluate`, fitted to the other folds of decisions; with a `target`,
    `action_dist` has how likely it takes each action. `reward` and `start` are those of `evaluate`.

    Raises `InputError` if the run has no policy.

    >>> import populace as pp
    >>> log = pp.generate("email", users=20, days=30, seed=1, policy="explore").to_obp(target="uniform")
    >>> log["pi_b"].shape == log["action_dist"].shape == (log["n_rounds"], log["n_actions"], 1)
    True
    """
    import numpy

    named = None if target is None else (_name(target) or "the target", replay(run, policy=target)._native)
    with _reading("decisions", threads, progress, start=_options.date("start", start)) as options:
        actions, names, recipients, arrays = _populace.policy_rounds(directory(run), named, _reward(reward), options)

    def numbers(name: str, *shape: int, dtype: str = "f8") -> Any:
        return numpy.frombuffer(arrays[name], dtype).reshape(len(recipients), *shape).copy()

    rounds = {
        "n_rounds": len(recipients),
        "n_actions": actions,
        "context": numbers("context", len(names)),
        "action_context": None,
        "action": numbers("action", dtype="i8"),
        "position": None,
        "reward": numbers("reward"),
        "expected_reward": numbers("expected_reward", actions) if reward == "open" else None,
        "pscore": numbers("pscore"),
        "pi_b": numbers("pi_b", actions, 1),
        "estimated_rewards_by_reg_model": numbers("estimated_rewards_by_reg_model", actions, 1),
        "context_names": names,
        "recipient_id": recipients,
    }
    if named is not None:
        rounds["action_dist"] = numbers("action_dist", actions, 1)
    return rounds


def _whole(run: Run | _types.Path) -> Run:
    source = run if isinstance(run, Run) else _open_run(run)
    if source._native.state()[5][2]:
        raise InputError("these are some of the users of a run; policies are of the whole run")
    return source


def _parent(source: Run) -> tuple[str, str, int]:
    return source.name, source.scenario_digest, source.seed


def _named(rows: list[dict[str, Any]], key: str, name: str) -> dict[str, Any]:
    for row in rows:
        if row[key] == name:
            return row
    known = [row[key] for row in rows]
    raise KeyError(f"{name}: there are {', '.join(known)}{_options.near(name, known)}")


def _measured(row: Mapping[str, Any], key: str) -> Estimate:
    if not isinstance(row.get(key), dict):
        known = [name for name, cell in row.items() if isinstance(cell, dict)]
        raise KeyError(f"{key}: there are {', '.join(known)}{_options.near(key, known)}")
    return Estimate(row[key]["value"], row[key].get("standard_error"))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose numbers with an error are two cells."""
    cells: dict[str, Any] = {}
    for name, cell in row.items():
        if isinstance(cell, dict):
            cells |= {name if part == "value" else f"{name}_{part}": number for part, number in cell.items()}
        else:
            cells[name] = cell
    return cells


def _frame(rows: list[dict[str, Any]], index: str) -> pandas.DataFrame:
    import pandas

    return pandas.DataFrame([_flat(row) for row in rows] or {index: []}).set_index(index)


def _tables(rows: list[dict[str, Any]]) -> str:
    flat = [_flat(row) for row in rows]
    return html_table(flat, list(flat[0])) if flat else ""


def _reward(reward: Reward) -> str:
    if isinstance(reward, str):
        return reward
    if isinstance(reward, Mapping):
        return _options.document("reward", reward)
    raise TypeError(f"reward: must be text or a dictionary, got {reward!r}")


def _csv(rows: Any) -> str:
    out = io.StringIO()
    written = csv.writer(out, lineterminator="\n")
    written.writerow(("recipient_id", "slot"))
    written.writerows(rows)
    return out.getvalue()


def _slots_of(policy: Any) -> str | None:
    """Slots in memory as CSV; `None` of what is no table."""
    if isinstance(policy, Learned):
        return _csv((row["recipient_id"], row["slot"]) for row in policy["slots"])
    if isinstance(policy, (str, os.PathLike, Mapping)) or not hasattr(policy, "columns"):
        return None
    names = [str(name) for name in policy.columns]
    if missing := [name for name in ("recipient_id", "slot") if name not in names]:
        raise InputError(f"policy: has no column {missing[0]}; there are {', '.join(names)}{_options.near(missing[0], names)}")

    def whole(slot: Any) -> Any:
        # Doubles are what whole numbers become where one of them is missing.
        return int(slot) if isinstance(slot, float) and slot.is_integer() else slot

    slots = (slot if slot != slot else _options.whole("slot", whole(slot), 0, 2**31) for slot in policy["slot"])
    return _csv(zip(policy["recipient_id"], slots))


def _file_of(name: str, given: Any, columns: Sequence[str], needed: int) -> str:
    """The file of a table, which is written if it is in memory: the columns that it has of those, the first of which it needs."""
    if isinstance(given, (str, os.PathLike)):
        return _options.path(name, given)
    if not hasattr(given, "columns"):
        raise TypeError(f"{name}: must be a file or a data frame, got {type(given).__name__}")
    names = [str(column) for column in given.columns]
    if missing := [column for column in columns[:needed] if column not in names]:
        raise InputError(f"{name}: has no column {missing[0]}; there are {', '.join(names)}{_options.near(missing[0], names)}")
    taken = [column for column in columns if column in names]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(taken)
    rows.writerows(zip(*(map(_cell, given[column]) for column in taken)))
    return kept(text.getvalue())


def _cell(value: Any) -> Any:
    """A cell as text: moments with their zone, nothing of what is missing."""
    if value is None or value != value:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _above_0(name: str, value: float) -> float:
    number = _options.number(name, value)
    if number <= 0:
        raise InputError(f"{name}: must be above 0, got {value!r}")
    return number


def _within(name: str, value: float) -> float:
    number = _options.number(name, value)
    if not 0 <= number <= 1:
        raise InputError(f"{name}: must be from 0 to 1, got {value!r}")
    return number


def _name(policy: Any) -> str | None:
    """What a policy is called of itself."""
    if isinstance(policy, Learned):
        return str(policy["rule"])
    return os.fspath(policy) if isinstance(policy, (str, os.PathLike)) else None


def _names(policies: Any) -> Iterator[tuple[str, Any]]:
    """Policies by name."""
    document = ("window", "slot_minutes", "clock", "base", "explore", "skip", "holdout", "caps")
    if isinstance(policies, Mapping) and not isinstance(policies, Learned):
        if policies and all(name in document for name in policies):
            raise InputError("policies: is one policy; give a list of policies, or a dictionary of policies by name")
        yield from ((_options.text("policies", name), one) for name, one in policies.items())
        return
    if isinstance(policies, (str, os.PathLike, Learned)) or hasattr(policies, "columns"):
        policies = [policies]
    seen = {OWN}
    for number, one in enumerate(policies, 1):
        name = _name(one) or f"policy {number}"
        if name in seen:
            raise InputError(f"policies: two are called {name}; give a dictionary of policies by name")
        seen.add(name)
        yield name, one
