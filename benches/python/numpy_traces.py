"""API call traces in vectorised NumPy: all the sessions of a block of users walk together, one step at a time.

Simplified: no cascades, so `attempt` is always 1 and `retry_of` null (they are off by default).
"""

import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

import columns
import common
from columns import Tables, numbers, times, uuids, words
from common import DAY_MS, ENDPOINTS, ENTRY, MAX_LENGTH, TRANSITIONS

INDEX = {endpoint: i for i, endpoint in enumerate(ENDPOINTS)}
# One sorted array holds every row of the matrix, each lifted by the number of its state, so that a single binary search
# for state + u finds the transition.
_ROWS = [(np.cumsum(list(TRANSITIONS[e].values())), [INDEX[to] for to in TRANSITIONS[e]]) for e in ENDPOINTS if e in TRANSITIONS]
_STATES = [INDEX[e] for e in ENDPOINTS if e in TRANSITIONS]
LIFTED = np.concatenate([np.append(cumulative[:-1], 1.0) + state for state, (cumulative, _) in zip(_STATES, _ROWS)])
TARGETS = np.concatenate([targets for _, targets in _ROWS]).astype(np.int8)
IS_EXIT = np.array([endpoint in common.EXITS for endpoint in ENDPOINTS])
MEAN_MS = np.array(list(common.RESPONSE_MS.values()), float)
METHODS = ("GET", "POST", "PUT")
METHOD_OF = np.array([METHODS.index(common.method_of(endpoint)) for endpoint in ENDPOINTS])
SIZE_MU, SIZE_SIGMA = np.array([common.size_parameters(common.method_of(endpoint)) for endpoint in ENDPOINTS]).T

SEARCHES = [json.dumps({"q": q, "sort": sort}) for q in common.QUERIES for sort in common.SORTS]
BROWSES = [json.dumps({"category": c, "page": str(page)}) for c in common.CATEGORIES for page in range(1, common.PAGES + 1)]
PARAMS = ["{}", *SEARCHES, *BROWSES]
PARAMS_FIRST = np.array([1 if e.endswith("/search") else 1 + len(SEARCHES) if e.endswith("/browse") else 0 for e in ENDPOINTS])
PARAMS_COUNT = np.array([len(SEARCHES) if e.endswith("/search") else len(BROWSES) if e.endswith("/browse") else 1 for e in ENDPOINTS])
STATUSES = np.array([200, 400, 500], np.int16)
START_MS = int(np.datetime64(common.TRACES_START, "ms").astype(int))


def walks(rng: np.random.Generator, n: int) -> np.ndarray:
    """`n` sessions, one row each, of endpoint numbers; -1 after the end."""
    paths = np.full((MAX_LENGTH, n), -1, np.int8)
    entries = np.array([INDEX[e] for e in ENTRY], np.int8)
    here, walking = entries[columns.choose(rng, n, list(ENTRY.values()))], np.arange(n)
    for step in range(MAX_LENGTH):
        paths[step, walking] = here
        going = ~IS_EXIT[here]
        here, walking = here[going], walking[going]
        here = TARGETS[np.searchsorted(LIFTED, here + rng.random(len(here)), side="right")]
    return paths.T


def response_times(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    elapsed = mean * rng.normal(1.0, 0.3, len(mean))
    while len(low := np.flatnonzero(elapsed < 10)):
        elapsed[low] = mean[low] * rng.normal(1.0, 0.3, len(low))
    return np.round(elapsed, 3)


def block(rng: np.random.Generator, first: int, users: int, days: int, law: tuple[float, float], text: bool) -> Tables:
    user_ids = [f"user_{first + user:06}" for user in range(users)]
    user_types = columns.choose(rng, users, common.USER_TYPE_WEIGHTS)
    session_user = np.repeat(np.arange(users), np.maximum(1, np.rint(rng.normal(*law, users)).astype(int)))
    n_sessions = len(session_user)
    session_ids = columns.uuid4(rng, n_sessions)
    session_start = START_MS + rng.integers(0, days * DAY_MS // 60_000, n_sessions) * 60_000

    paths = walks(rng, n_sessions)
    endpoint = paths[paths >= 0].astype(np.intp)
    n_calls = (paths >= 0).sum(axis=1)
    session = np.repeat(np.arange(n_sessions), n_calls)
    n = len(endpoint)

    firsts = np.cumsum(n_calls) - n_calls
    gap = np.where(rng.random(n) < 0.9, rng.uniform(1_000, 5_000, n), rng.uniform(10_000, 30_000, n)).astype(np.int64)
    gap[firsts] = 0
    since = np.cumsum(gap)
    timestamp = since + np.repeat(session_start - since[firsts], n_calls)
    elapsed = response_times(rng, MEAN_MS[endpoint])
    end = timestamp[firsts + n_calls - 1] + elapsed[firsts + n_calls - 1].astype(np.int64)

    call_user = session_user[session]
    calls = {
        "call_id": uuids(columns.uuid4(rng, n), text),
        "session_id": uuids(session_ids[session], text),
        "user_id": words(call_user, user_ids),
        "user_type": words(user_types[call_user], common.USER_TYPES),
        "endpoint": words(endpoint, ENDPOINTS),
        "method": words(METHOD_OF[endpoint], METHODS),
        "params": words(PARAMS_FIRST[endpoint] + (rng.random(n) * PARAMS_COUNT[endpoint]).astype(np.int64), PARAMS),
        "timestamp": times(timestamp, text),
        "response_time_ms": numbers(elapsed),
        "status_code": numbers(STATUSES[columns.choose(rng, n, (0.95, 0.035, 0.015))]),
        "response_size_bytes": numbers(np.exp(rng.normal(size=n) * SIZE_SIGMA[endpoint] + SIZE_MU[endpoint]).astype(np.int32)),
        "attempt": numbers(np.ones(n, np.int8)),
        "retry_of": pa.nulls(n, pa.string() if text else columns.UUID),
    }
    sessions = {
        "session_id": uuids(session_ids, text),
        "user_id": words(session_user, user_ids),
        "user_type": words(user_types[session_user], common.USER_TYPES),
        "start": times(session_start, text),
        "end": times(end, text),
        "n_calls": numbers(n_calls),
    }
    return {"calls": pa.RecordBatch.from_pydict(calls), "sessions": pa.RecordBatch.from_pydict(sessions)}


def batches(rng: np.random.Generator, users: int, days: int, text: bool) -> Iterator[Tables]:
    law = common.rounded_normal(3, 2)
    return (block(rng, first, count, days, law, text) for first, count in columns.blocks(users, 4_000))


if __name__ == "__main__":
    args = columns.command_line(__doc__, users=50_000, days=30)
    columns.report(args, "calls", lambda rng: batches(rng, args.users, args.days, args.format == "csv"))
