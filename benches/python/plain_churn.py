"""Subscription churn as its description writes it: a NumPy generator asked for one value at a time, to events.csv and users.csv."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

import common
from common import CHURN_START, COURSES, Rows

Event = tuple[datetime, str, str | None, float | None, float | None, float | None]


def session(rng: np.random.Generator, engagement: float, day: datetime) -> list[Event]:
    login = day + timedelta(seconds=int(rng.integers(common.SESSION_STARTS_S)))

    def later() -> datetime:
        return login + timedelta(seconds=int(rng.integers(1, common.SESSION_LENGTH_S)))

    def course() -> str:
        return COURSES[rng.integers(len(COURSES))]

    events: list[Event] = [(login, "login", None, None, None, None)]
    if rng.random() < 0.5 + 0.4 * engagement:
        minutes = min(180.0, max(1.0, rng.normal(20 + 40 * engagement, 10)))
        events.append((later(), "video_watch", course(), round(minutes, 2), None, None))
    if rng.random() < 0.25 + 0.35 * engagement:
        score = min(100.0, max(0.0, rng.normal(50 + 40 * engagement, 15)))
        events.append((later(), "quiz_attempt", course(), None, round(score, 2), None))
    if rng.random() < common.ENROL_RATE:
        events.append((later(), "course_enroll", course(), None, None, None))
    return events


def invoices(rng: np.random.Generator, firsts: list[int], last_day: int) -> list[Event]:
    events: list[Event] = []
    for first in firsts:
        for day in range(first, min(first + 3, last_day + 1)):
            paid = rng.random() < common.PAYMENT_SUCCESS
            when = CHURN_START + timedelta(days=day, seconds=int(rng.integers(86_400)))
            events.append((when, "payment_success" if paid else "payment_failed", None, None, None, common.PRICE))
            if paid:
                break
    return events


def user_events(rng: np.random.Generator, engagement: float, is_paid: bool, days: int, firsts: list[int]) -> list[Event]:
    churn = min(0.95, common.CHURN_BASE_RATE * (0.75 if is_paid else 1.0) * (0.4 + 1.4 * (1 - engagement) ** 1.6))
    last_day = int(rng.integers(days // 4, days)) if rng.random() < churn else days - 1
    events: list[Event] = invoices(rng, firsts, last_day) if is_paid else []
    for number in range(last_day + 1):
        day = CHURN_START + timedelta(days=number)
        if rng.random() < 0.15 + 0.8 * engagement:
            for _ in range(rng.integers(1, 4)):
                events += session(rng, engagement, day)
        if rng.random() < common.TICKET_RATE:
            events.append((day + timedelta(seconds=int(rng.integers(86_400))), "support_ticket", None, None, None, None))
    events.sort(key=lambda event: event[0])
    return events


def generate(users: int, days: int, seed: int, out: Path) -> Rows:
    rng = np.random.default_rng(seed)
    firsts = common.billing_days(CHURN_START, days)
    event_id = 0
    with open(out / "events.csv", "w", newline="") as events_file, open(out / "users.csv", "w", newline="") as users_file:
        events, accounts = csv.writer(events_file), csv.writer(users_file)
        events.writerow(common.CHURN_EVENT_COLUMNS)
        accounts.writerow(common.CHURN_USER_COLUMNS)
        for user_id in range(1, users + 1):
            signup = CHURN_START - timedelta(days=int(rng.integers(common.signup_spread(days))))
            is_paid = bool(rng.random() < common.PAID_RATIO)
            country, source = common.COUNTRIES[rng.integers(6)], common.SOURCES[rng.integers(5)]
            engagement = float(rng.beta(2.0, 2.5))
            accounts.writerow((user_id, signup.date(), "paid" if is_paid else "free", int(is_paid), country, source, round(engagement, 6)))
            for when, *fields in user_events(rng, engagement, is_paid, days, firsts):
                event_id += 1
                events.writerow((event_id, user_id, when, *fields))
    return {"events": event_id, "users": users}


if __name__ == "__main__":
    args = common.command_line(__doc__, users=2000, days=120).parse_args()
    common.report(args, "events", lambda: generate(args.users, args.days, args.seed, args.output))
