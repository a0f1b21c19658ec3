"""API call traces in plain Python: one random walk at a time, a row at a time, to calls.csv and sessions.csv."""

import csv
import json
import random
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import common
from common import ENDPOINTS, ENTRY, EXITS, MAX_LENGTH, RESPONSE_MS, TRANSITIONS, Rows

METHODS = {endpoint: common.method_of(endpoint) for endpoint in ENDPOINTS}
NEXT = {state: (list(row), list(row.values())) for state, row in TRANSITIONS.items()}


def new_id(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def walk(rng: random.Random) -> list[str]:
    path = rng.choices(list(ENTRY), list(ENTRY.values()))
    while path[-1] not in EXITS and len(path) < MAX_LENGTH:
        path += rng.choices(*NEXT[path[-1]])
    return path


def params_of(rng: random.Random, endpoint: str) -> dict[str, str]:
    if endpoint.endswith("/search"):
        return {"q": rng.choice(common.QUERIES), "sort": rng.choice(common.SORTS)}
    if endpoint.endswith("/browse"):
        return {"category": rng.choice(common.CATEGORIES), "page": str(rng.randint(1, common.PAGES))}
    return {}


def respond(rng: random.Random, endpoint: str) -> tuple[float, int, int]:
    """Response time in ms, status and size of one healthy call."""
    mean = RESPONSE_MS[endpoint]
    while (elapsed := rng.gauss(mean, 0.3 * mean)) < 10:
        pass
    status = rng.choices((200, 400, 500), (0.95, 0.035, 0.015))[0]
    return round(elapsed, 3), status, int(rng.lognormvariate(*common.size_parameters(METHODS[endpoint])))


def think(rng: random.Random) -> timedelta:
    return timedelta(seconds=rng.uniform(1, 5) if rng.random() < 0.9 else rng.uniform(10, 30))


def stamp(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds") + "Z"


def session_calls(rng: random.Random, start: datetime, session: tuple[str, str, str], cascade: bool) -> tuple[list[tuple[Any, ...]], datetime]:
    """The rows of one session, and the end of its last response."""
    path = walk(rng)
    rows: list[tuple[Any, ...]] = []
    now = end = start
    for position, endpoint in enumerate(path):
        call_id = new_id(rng)
        row = (endpoint, METHODS[endpoint], json.dumps(params_of(rng, endpoint)))
        elapsed, status, size = respond(rng, endpoint)
        faulted = False
        if cascade and position >= len(path) // 2:
            fault = rng.random()
            faulted = fault < 0.95
            if fault < 0.60:
                elapsed = round(elapsed * rng.uniform(3, 10), 3)
            elif fault < 0.80:
                elapsed, status = 30_000.0, 504
            elif fault < 0.95:
                status = 503
        end = now + timedelta(milliseconds=elapsed)
        rows.append((call_id, *session, *row, stamp(now), elapsed, status, size, 1, None))
        if faulted and rng.random() < 0.30:
            now = end + timedelta(seconds=rng.uniform(0.1, 1))
            elapsed, status, size = respond(rng, endpoint)
            end = now + timedelta(milliseconds=elapsed)
            rows.append((new_id(rng), *session, *row, stamp(now), elapsed, status, size, 2, call_id))
        now = max(now + think(rng), end)
    return rows, end


def generate(users: int, days: int, seed: int, out: Path, cascade_rate: float = 0.0) -> Rows:
    rng = random.Random(seed)
    mean, sd = common.rounded_normal(3, 2)
    n_calls = n_sessions = 0
    with open(out / "calls.csv", "w", newline="") as calls_file, open(out / "sessions.csv", "w", newline="") as sessions_file:
        calls, sessions = csv.writer(calls_file), csv.writer(sessions_file)
        calls.writerow(common.CALL_COLUMNS)
        sessions.writerow(common.SESSION_COLUMNS)
        for user in range(users):
            user_id = f"user_{user:06}"
            user_type = rng.choices(common.USER_TYPES, common.USER_TYPE_WEIGHTS)[0]
            for _ in range(max(1, round(rng.gauss(mean, sd)))):
                start = common.TRACES_START + timedelta(days=rng.randrange(days), hours=rng.randrange(24), minutes=rng.randrange(60))
                session = (new_id(rng), user_id, user_type)
                rows, end = session_calls(rng, start, session, cascade=rng.random() < cascade_rate)
                calls.writerows(rows)
                sessions.writerow((*session, stamp(start), stamp(end), sum(row[-1] is None for row in rows)))
                n_calls += len(rows)
                n_sessions += 1
    return {"calls": n_calls, "sessions": n_sessions}


if __name__ == "__main__":
    parser = common.command_line(__doc__, users=1000, days=30)
    parser.add_argument("--cascade-rate", type=float, default=0.0, help="share of sessions in which a failure spreads")
    args = parser.parse_args()
    common.report(args, "calls", lambda: generate(args.users, args.days, args.seed, args.output, args.cascade_rate))
