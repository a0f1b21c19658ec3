"""Who will leave?"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Literal, overload

from populace import _options, _types
from populace._run import Run, generate
from populace._score import known_until, labels
from populace.datasets._bunch import Bunch, bunch

if TYPE_CHECKING:
    from populace.datasets._bunch import Arrays, Frames

_WHAT = """Which users of a subscription churn after {as_of} and by the end of the window? One row is a user who has not churned by
then, as is known at the end of that day; y is 1 if the user does. No latent column is among the features."""
_FEATURES = {
    "is_paid": "1 on the paid plan",
    "tenure_days": "days since signup",
    "observed_days": "days of history, at most from the window's first day",
    "active_days": "days with a login",
    "active_share": "active_days by observed_days",
    "active_days_7": "days with a login among the last 7",
    "active_days_14": "days with a login among the last 14",
    "days_since_login": "days since the last login; observed_days if there is none",
    "logins": "logins",
    "logins_per_day": "logins by active day",
    "video_share": "videos by login",
    "minutes_mean": "minutes watched by video; 0 if there is none",
    "quiz_share": "quizzes by login",
    "quiz_score": "mean score of quizzes; 0 if there is none",
    "enrolments": "courses enrolled in",
    "payments_failed": "payments that failed",
    "tickets": "support tickets",
}


@overload
def load_churn(users: int = ..., seed: int = ..., as_of: _types.Date = ..., as_frame: bool = ..., return_X_y: Literal[False] = ..., *, run: Run | None = ...) -> Bunch: ...
@overload
def load_churn(users: int = ..., seed: int = ..., as_of: _types.Date = ..., as_frame: Literal[True] = ..., *, return_X_y: Literal[True], run: Run | None = ...) -> Frames: ...
@overload
def load_churn(users: int = ..., seed: int = ..., as_of: _types.Date = ..., *, as_frame: Literal[False], return_X_y: Literal[True], run: Run | None = ...) -> Arrays: ...
@overload
def load_churn(users: int = ..., seed: int = ..., as_of: _types.Date = ..., as_frame: bool = ..., return_X_y: bool = ..., *, run: Run | None = ...) -> Bunch | Frames | Arrays: ...
@_options.keywords
def load_churn(
    users: int = 2000,
    seed: int = 0,
    as_of: _types.Date = None,
    as_frame: bool = True,
    return_X_y: bool = False,
    *,
    run: Run | None = None,
) -> Bunch | Frames | Arrays:
    """Users of a subscription, and whether they churn. Gives a `Bunch`, or `(X, y)`.

    `as_of` is the last day that is known (default: the day before anybody can churn). `run` is another run of churn to take instead of
    `users` and `seed`. With `as_frame=False` there are NumPy arrays, which `pp.scorer` cannot place.
    """
    import numpy
    import pandas

    run = generate("churn", users=users, seed=seed) if run is None else run
    start, known = known_until(run, as_of)
    last = start + datetime.timedelta(known)
    truth = labels("churn", run, as_of=last)
    people = run["users"].select("user_id", "signup_date", "is_paid").to_pandas().set_index("user_id")
    events = run["events"].select("user_id", "event_time", "event_type", "watch_minutes", "quiz_score").to_pandas()
    end = pandas.Timestamp(last + datetime.timedelta(1), tz="UTC")
    events = events[events.event_time < end]
    age = (end - events.event_time).dt.days

    def each(rows: Any, column: str | None = None) -> Any:
        found = events[rows].groupby("user_id")
        return (found.size() if column is None else found[column].mean()).reindex(people.index, fill_value=0)

    of = {name: events.event_type == name for name in ("login", "video_watch", "quiz_attempt", "course_enroll", "payment_failed", "support_ticket")}
    days_active = events[of["login"]].assign(age=age)[["user_id", "age"]].drop_duplicates()

    def distinct(within: int) -> Any:
        return days_active[days_active.age < within].groupby("user_id").size().reindex(people.index, fill_value=0)

    before = pandas.Timestamp(start)
    observed = (end.tz_localize(None) - people.signup_date.where(people.signup_date > before, before)).dt.days
    logins, active = each(of["login"]), distinct(10**6)

    def ratio(a: Any, b: Any) -> Any:
        return a / numpy.maximum(b, 1)

    X = pandas.DataFrame(
        {
            "is_paid": people.is_paid,
            "tenure_days": (end.tz_localize(None) - people.signup_date).dt.days,
            "observed_days": observed,
            "active_days": active,
            "active_share": ratio(active, observed),
            "active_days_7": distinct(7),
            "active_days_14": distinct(14),
            "days_since_login": days_active.groupby("user_id").age.min().reindex(people.index).fillna(observed),
            "logins": logins,
            "logins_per_day": ratio(logins, active),
            "video_share": ratio(each(of["video_watch"]), logins),
            "minutes_mean": each(of["video_watch"], "watch_minutes"),
            "quiz_share": ratio(each(of["quiz_attempt"]), logins),
            "quiz_score": each(of["quiz_attempt"], "quiz_score"),
            "enrolments": each(of["course_enroll"]),
            "payments_failed": each(of["payment_failed"]),
            "tickets": each(of["support_ticket"]),
        }
    )
    groups = people.index.to_series()
    return bunch("churn", run, X, truth, groups, _WHAT.format(as_of=last), _FEATURES, as_frame, return_X_y)
