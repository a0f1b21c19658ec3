"""Which calls did a failure hit?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from populace import _options
from populace._run import Run, generate
from populace._score import labels
from populace.datasets._bunch import Bunch, bunch

if TYPE_CHECKING:
    from populace.datasets._bunch import Arrays, Frames

_WHAT = """Which API calls did a cascading failure hit? One row is a call, as is known once its session has ended; y is 1 if a fault made it
slow, timed it out or made it unavailable. There is no p_latent: who knows everything knows y."""
_FEATURES = {
    "log_response": "logarithm of 1 + the response time in milliseconds",
    "log_ratio": "logarithm of the response time over the median of its endpoint",
    "status_503": "1 if the status is 503",
    "status_504": "1 if the status is 504",
    "is_error": "1 if the status is 500 or more",
    "is_retry": "1 if the call retries another",
    "was_retried": "1 if another call retries it",
    "position": "place in the session, from 0 to 1",
    "gap_seconds": "seconds from its response to the next call of the session, at least 0; −1 of the last",
    "calls": "calls of the session",
    "session_errors": "share of the session's calls with a status of 500 or more",
    "session_log_ratio": "greatest log_ratio of the session",
}


@overload
def load_anomaly(users: int = ..., seed: int = ..., as_frame: bool = ..., return_X_y: Literal[False] = ..., *, cascade_failure_rate: float = ..., run: Run | None = ...) -> Bunch: ...
@overload
def load_anomaly(users: int = ..., seed: int = ..., as_frame: Literal[True] = ..., *, return_X_y: Literal[True], cascade_failure_rate: float = ..., run: Run | None = ...) -> Frames: ...
@overload
def load_anomaly(users: int = ..., seed: int = ..., *, as_frame: Literal[False], return_X_y: Literal[True], cascade_failure_rate: float = ..., run: Run | None = ...) -> Arrays: ...
@overload
def load_anomaly(users: int = ..., seed: int = ..., as_frame: bool = ..., return_X_y: bool = ..., *, cascade_failure_rate: float = ..., run: Run | None = ...) -> Bunch | Frames | Arrays: ...
@_options.keywords
def load_anomaly(
    users: int = 300,
    seed: int = 0,
    as_frame: bool = True,
    return_X_y: bool = False,
    *,
    cascade_failure_rate: float = 0.05,
    run: Run | None = None,
) -> Bunch | Frames | Arrays:
    """Calls of an API, and whether a cascading failure hit them. Gives a `Bunch`, or `(X, y)`.

    `run` is another run of traces to take instead of `users`, `cascade_failure_rate` and `seed`. `groups` are sessions.
    """
    import numpy
    import pandas

    run = generate("traces", users=users, seed=seed, cascade_failure_rate=cascade_failure_rate) if run is None else run
    truth = labels("anomaly", run)
    wanted = ["call_id", "session_id", "endpoint", "timestamp", "response_time_ms", "status_code", "attempt", "retry_of"]
    calls = run["calls"].select(*wanted).to_pandas().set_index("call_id").sort_values(["session_id", "timestamp"], kind="stable")
    sessions = calls.groupby("session_id", sort=False)
    time = calls.response_time_ms.clip(lower=1e-3)
    error = (calls.status_code >= 500).astype("float64")
    ratio = (time / time.groupby(calls.endpoint).transform("median")).apply(numpy.log)
    ended = calls.timestamp + pandas.to_timedelta(calls.response_time_ms, unit="ms")
    gap = (sessions.timestamp.shift(-1) - ended).dt.total_seconds().clip(lower=0)
    size = sessions.timestamp.transform("size")
    X = pandas.DataFrame(
        {
            "log_response": numpy.log1p(calls.response_time_ms),
            "log_ratio": ratio,
            "status_503": calls.status_code == 503,
            "status_504": calls.status_code == 504,
            "is_error": error,
            "is_retry": calls.attempt > 1,
            "was_retried": calls.index.isin(calls.retry_of.dropna()),
            "position": sessions.cumcount() / (size - 1).clip(lower=1),
            "gap_seconds": gap.fillna(-1.0),
            "calls": size,
            "session_errors": error.groupby(calls.session_id).transform("mean"),
            "session_log_ratio": ratio.groupby(calls.session_id).transform("max"),
        }
    )
    return bunch("anomaly", run, X, truth, calls.session_id, _WHAT, _FEATURES, as_frame, return_X_y)
