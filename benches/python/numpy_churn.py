"""Subscription churn in vectorised NumPy: the user × day grid of a block of users at once. Nothing is simplified.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

import columns
import common
from columns import Tables, numbers, words
from common import COURSES, SESSION_LENGTH_S, SESSION_STARTS_S

TYPES = ("login", "video_watch", "quiz_attempt", "course_enroll", "payment_success", "payment_failed", "support_ticket")
LOGIN, VIDEO, QUIZ, ENROL, PAID, FAILED, TICKET = range(7)
DAY_S = 86_400
START_S = int(np.datetime64(common.CHURN_START, "s").astype(int))


def block(rng: np.random.Generator, first: int, users: int, days: int, firsts: list[int], next_id: int) -> Tables:
    signup = START_S // DAY_S - rng.integers(0, common.signup_spread(days), users)
    is_paid = rng.random(users) < common.PAID_RATIO
    engagement = rng.beta(2.0, 2.5, users)
    p_churn = np.minimum(0.95, common.CHURN_BASE_RATE * np.where(is_paid, 0.75, 1.0) * (0.4 + 1.4 * (1 - engagement) ** 1.6))
    last_day = np.where(rng.random(users) < p_churn, rng.integers(days // 4, days, users), days - 1)

    grid_day = np.arange(days)
    alive = grid_day <= last_day[:, None]
    active_user, active_day = np.nonzero(alive & (rng.random((users, days)) < (0.15 + 0.8 * engagement)[:, None]))
    sessions = rng.integers(1, 4, len(active_user))
    user = np.repeat(active_user, sessions)
    login = np.repeat(active_day, sessions) * DAY_S + rng.integers(0, SESSION_STARTS_S, len(user))
    keen = engagement[user]

    parts: list[tuple[int, np.ndarray, np.ndarray]] = [(LOGIN, user, login)]
    for kind, p in ((VIDEO, 0.5 + 0.4 * keen), (QUIZ, 0.25 + 0.35 * keen), (ENROL, common.ENROL_RATE)):
        where = np.flatnonzero(rng.random(len(user)) < p)
        parts.append((kind, user[where], login[where] + rng.integers(1, SESSION_LENGTH_S, len(where))))
    ticket_user, ticket_day = np.nonzero(alive & (rng.random((users, days)) < common.TICKET_RATE))
    parts.append((TICKET, ticket_user, ticket_day * DAY_S + rng.integers(0, DAY_S, len(ticket_user))))
    for month in firsts:
        payer = np.flatnonzero(is_paid)
        for day in range(month, min(month + 3, days)):
            payer = payer[last_day[payer] >= day]
            paid = rng.random(len(payer)) < common.PAYMENT_SUCCESS
            time = day * DAY_S + rng.integers(0, DAY_S, len(payer))
            parts += [(PAID, payer[paid], time[paid]), (FAILED, payer[~paid], time[~paid])]
            payer = payer[~paid]

    kind = np.repeat(np.array([k for k, _, _ in parts], np.int8), [len(u) for _, u, _ in parts])
    user = np.concatenate([u for _, u, _ in parts])
    time = np.concatenate([t for _, _, t in parts])
    key = user * (days * DAY_S) + time
    order = np.argsort(key, kind="stable")
    kind, key = kind[order], key[order]
    user, time = np.divmod(key, days * DAY_S)
    n, keen = len(kind), engagement[user]

    watched, quizzed = kind == VIDEO, kind == QUIZ
    minutes, score = np.zeros(n), np.zeros(n)
    minutes[watched] = np.round(np.clip(20 + 40 * keen[watched] + 10 * rng.normal(size=watched.sum()), 1, 180), 2)
    score[quizzed] = np.round(np.clip(50 + 40 * keen[quizzed] + 15 * rng.normal(size=quizzed.sum()), 0, 100), 2)
    events = {
        "event_id": numbers(np.arange(next_id, next_id + n)),
        "user_id": numbers(first + 1 + user),
        "event_time": pa.array(START_S + time).view(pa.timestamp("s")),
        "event_type": words(kind, TYPES),
        "course_id": words(rng.integers(0, len(COURSES), n), COURSES, mask=(kind < VIDEO) | (kind > ENROL)),
        "watch_minutes": numbers(minutes, mask=~watched),
        "quiz_score": numbers(score, mask=~quizzed),
        "amount": numbers(np.full(n, common.PRICE), mask=(kind != PAID) & (kind != FAILED)),
    }
    accounts = {
        "user_id": numbers(np.arange(first + 1, first + 1 + users)),
        "signup_date": pa.array(signup.astype(np.int32)).view(pa.date32()),
        "plan": words(is_paid.astype(np.int32), ("free", "paid")),
        "is_paid": numbers(is_paid.astype(np.int8)),
        "country": words(rng.integers(0, 6, users), common.COUNTRIES),
        "marketing_source": words(rng.integers(0, 5, users), common.SOURCES),
        "engagement_score": numbers(np.round(engagement, 6)),
    }
    return {"events": pa.RecordBatch.from_pydict(events), "users": pa.RecordBatch.from_pydict(accounts)}


def batches(rng: np.random.Generator, users: int, days: int) -> Iterator[Tables]:
    firsts, next_id = common.billing_days(common.CHURN_START, days), 1
    for first, count in columns.blocks(users, 200):
        tables = block(rng, first, count, days, firsts, next_id)
        next_id += tables["events"].num_rows
        yield tables


if __name__ == "__main__":
    args = columns.command_line(__doc__, users=5_000, days=120)
    columns.report(args, "events", lambda rng: batches(rng, args.users, args.days))
