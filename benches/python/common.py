"""What the baselines share: the figures of the three scenarios, identity, and the command line.

Standard library only, so that the plain scripts pay for nothing they do not use. Every figure is a default of the
product; the scripts show what it costs to draw from them in Python.
"""

import argparse
import base64
import hashlib
import hmac
import json
import math
import sys
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

# --- email -----------------------------------------------------------------------------------------------------------


class Persona(NamedTuple):
    name: str
    members: int
    hours: tuple[int, ...]  # peak hours; empty means no preference at all
    days: tuple[int, ...]  # active weekdays, Monday 0
    click_rate: float
    open_rate: float


WEEKDAYS, EVERY_DAY = tuple(range(5)), tuple(range(7))
PERSONAS = (
    Persona("morning_person", 50, (7, 8, 9), WEEKDAYS, 0.15, 0.35),
    Persona("evening_person", 50, (18, 19, 20, 21, 22), EVERY_DAY, 0.18, 0.40),
    Persona("night_owl", 30, (22, 23, 0, 1, 2), (4, 5, 6), 0.12, 0.28),
    Persona("lunch_browser", 40, (12, 13), WEEKDAYS, 0.20, 0.45),
    Persona("weekend_warrior", 35, (10, 11, 12, 13, 14, 15, 16), (5, 6), 0.25, 0.50),
    Persona("commuter", 45, (8, 9, 17, 18), WEEKDAYS, 0.16, 0.38),
    Persona("sporadic", 50, (), EVERY_DAY, 0.08, 0.20),
    Persona("highly_engaged", 20, (8, 9, 12, 13, 18, 19, 20), EVERY_DAY, 0.35, 0.65),
    Persona("low_engaged", 30, (), EVERY_DAY, 0.03, 0.10),
)
# Each persona's k-th member stands at (k + ½) / members of the way through the table: an even interleaving.
PERSONA_SLOTS = [p for _, p in sorted(((k + 0.5) / persona.members, p) for p, persona in enumerate(PERSONAS) for k in range(persona.members))]

EMAIL_START = datetime(2025, 10, 1)
SENDS_PER_DAY = 0.8
NIGHT_WEIGHT = 0.15  # of a minute outside 06:00–22:59
HOT_PATH_RATE, HOT_PATH_TRIGGERS, BREAKER_RATE = 0.12, 0.75, 0.024


class Campaign(NamedTuple):
    id: str
    name: str
    weight: float
    type: str
    size_kb: int
    subject: str


CAMPAIGNS = (
    Campaign("welcome_series", "Welcome series", 0.5, "transactional", 45, "Welcome aboard"),
    Campaign("newsletter", "Newsletter", 1.0, "promotional", 120, "This week's stories"),
    Campaign("promotion", "Promotion", 2.0, "promotional", 85, "A little something off"),
    Campaign("abandoned_cart", "Abandoned cart", 0.3, "transactional", 55, "You left something behind"),
    Campaign("product_reco", "Product recommendations", 1.5, "promotional", 95, "Picked for you"),
    Campaign("reengagement", "Re-engagement", 0.2, "promotional", 70, "We miss you"),
)
ABANDONED_CART = 3
ESPS, ESP_WEIGHTS = ("klaviyo", "sendgrid", "mailchimp"), (0.5, 0.3, 0.2)
BREAKERS = (("support_ticket", 48, "zendesk"), ("complaint", 48, "preference_center"), ("unsubscribe_request", 168, "preference_center"))
HOT_PATHS = (("site_visit", "website"), ("product_view", "website"), ("sms_click", "twilio"))
USER_AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/130.0 Mobile",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0",
)
IP_ADDRESSES = tuple(f"{net}.{host}" for net in ("192.0.2", "198.51.100", "203.0.113") for host in range(1, 255))
FATIGUE = (1.0, 0.95, 0.85, 0.60)
OPEN_MEAN_MINUTES, OPEN_MIN_MINUTES, OPEN_MAX_MINUTES = 240.0, 1.0, 2880.0
CLICK_MEAN_MINUTES, CLICK_MAX_MINUTES = 15.0, 60.0
DRIFT = (0.998, 1.002)
EMAIL_COLUMNS = (
    "event_id", "event_type", "timestamp", "esp", "recipient_id", "universal_id", "recipient_email_hash", "campaign_id",
    "campaign_name", "message_id", "subject", "click_url", "bounce_type", "user_agent", "ip_address", "source", "metadata",
    "latency_seconds", "send_time", "hour_of_day", "minute", "day_of_week", "campaign_type", "payload_size_bytes",
)  # fmt: skip
EMAIL_USER_COLUMNS = ("recipient_id", "universal_id", "recipient_email_hash", "timezone")


def minute_factor(minute: int) -> float:
    return 1.3 if minute in (15, 22, 38, 47) else 0.7 if minute in (0, 1, 59) else 1.0


def timing_table(persona: Persona) -> list[float]:
    """The timing factor for each hour of the week, of mean 1 over the law of the scheduled sends."""
    if not persona.hours:
        return [1.0] * 168
    interest = [(1.0 if h in persona.hours else 0.2) * (1.0 if d in persona.days else 0.3) for d in range(7) for h in range(24)]
    weights = [1.0 if 6 <= h < 23 else NIGHT_WEIGHT for _ in range(7) for h in range(24)]
    mean = sum(a * w for a, w in zip(interest, weights)) / sum(weights)
    # The largest contrast that keeps open_rate × timing × the best minute under .95.
    k = min(1.0, (0.95 / (1.3 * persona.open_rate) - 1) / (max(interest) / mean - 1))
    return [1 + k * (a / mean - 1) for a in interest]


def attention_table(persona: Persona) -> list[float]:
    """How readily an email is opened, for each hour of the week; at most 1."""
    if not persona.hours:
        return [1.0] * 168
    return [(1.0 if h in persona.hours else 0.1) * (1.0 if d in persona.days else 0.2) for d in range(7) for h in range(24)]


def identity(user: int) -> tuple[str, str, str]:
    """recipient_id, universal_id and recipient_email_hash of recipient `user`, counted from 0."""
    address = f"user{1000 + user}@example.com".encode()
    digest = hmac.new(b"benchmark key, not a secret", address, hashlib.sha256).digest()
    universal = "sf_" + base64.b32encode(digest)[:26].decode().lower()
    return f"synth_user_{1000 + user:05}", universal, hashlib.sha256(address).hexdigest()


def month_starts(start: datetime, days: int) -> list[int]:
    """Milliseconds from `start` to each first of a month after it, up to a week past the end."""
    starts: list[int] = []
    year, month = start.year, start.month
    while True:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        offset = (datetime(year, month, 1) - start).days
        if offset > days + 7:
            return starts
        starts.append(offset * DAY_MS)


# --- traces ----------------------------------------------------------------------------------------------------------

ENTRY = {"/api/login": 0.60, "/api/products/browse": 0.30, "/api/products/search": 0.10}
_LOGIN, _PROFILE, _BROWSE, _SEARCH = "/api/login", "/api/users/{id}/profile", "/api/products/browse", "/api/products/search"
_DETAILS, _ADD, _CART, _REMOVE = "/api/products/{id}/details", "/api/cart/add", "/api/cart", "/api/cart/remove"
_CHECKOUT, _PAYMENT, _CONFIRMATION, _LOGOUT = "/api/checkout", "/api/payment", "/api/confirmation", "/api/logout"
_ORDER, _TRACK = "/api/orders/{id}/details", "/api/orders/{id}/track"
_USER_ORDERS, _SETTINGS = "/api/users/{id}/orders", "/api/users/{id}/settings"
TRANSITIONS = {
    _LOGIN: {_PROFILE: 0.80, _BROWSE: 0.20},
    _PROFILE: {_BROWSE: 0.48, _USER_ORDERS: 0.28, _SETTINGS: 0.16, _LOGOUT: 0.08},
    _BROWSE: {_DETAILS: 0.55, _SEARCH: 0.20, _CART: 0.10, _LOGOUT: 0.15},
    _SEARCH: {_DETAILS: 0.65, _BROWSE: 0.25, _LOGOUT: 0.10},
    _DETAILS: {_ADD: 0.32, _BROWSE: 0.40, _SEARCH: 0.12, _LOGOUT: 0.16},
    _ADD: {_CART: 0.65, _BROWSE: 0.35},
    _CART: {_CHECKOUT: 0.50, _BROWSE: 0.20, _REMOVE: 0.20, _LOGOUT: 0.10},
    _REMOVE: {_CART: 0.45, _BROWSE: 0.35, _LOGOUT: 0.20},
    _CHECKOUT: {_PAYMENT: 0.85, _CART: 0.15},
    _PAYMENT: {_CONFIRMATION: 0.92, _CHECKOUT: 0.08},
    _USER_ORDERS: {_ORDER: 0.60, _BROWSE: 0.20, _PROFILE: 0.08, _LOGOUT: 0.12},
    _ORDER: {_TRACK: 0.35, _USER_ORDERS: 0.25, _BROWSE: 0.20, _LOGOUT: 0.20},
    _SETTINGS: {_PROFILE: 0.65, _LOGOUT: 0.35},
}
EXITS = {_LOGOUT, _CONFIRMATION, _TRACK}
RESPONSE_MS = {
    _LOGIN: 120, _PROFILE: 80, _BROWSE: 200, _SEARCH: 250, _DETAILS: 150, _ADD: 90, _CART: 100, _REMOVE: 85, _CHECKOUT: 300,
    _PAYMENT: 500, _CONFIRMATION: 150, _USER_ORDERS: 180, _ORDER: 160, _TRACK: 140, _SETTINGS: 110, _LOGOUT: 60,
}  # fmt: skip
ENDPOINTS = tuple(RESPONSE_MS)
TRACES_START = datetime(2026, 1, 1)
MAX_LENGTH = 20
USER_TYPES, USER_TYPE_WEIGHTS = ("premium", "free", "guest"), (0.3, 0.5, 0.2)
QUERIES = ("laptop", "phone", "headphones", "camera", "keyboard", "monitor", "shoes", "jacket", "book", "lamp")
SORTS = ("price", "rating", "newest", "relevance")
CATEGORIES = ("electronics", "clothing", "books", "home", "sports", "toys")
PAGES = 5
CALL_COLUMNS = (
    "call_id", "session_id", "user_id", "user_type", "endpoint", "method", "params", "timestamp", "response_time_ms",
    "status_code", "response_size_bytes", "attempt", "retry_of",
)  # fmt: skip
SESSION_COLUMNS = ("session_id", "user_id", "user_type", "start", "end", "n_calls")


def method_of(endpoint: str) -> str:
    segments = set(endpoint.split("/"))
    if segments & {"login", "add", "remove", "payment", "checkout"}:
        return "POST"
    return "PUT" if segments & {"update", "settings"} else "GET"


def size_parameters(method: str) -> tuple[float, float]:
    """The logarithm of the median, and sigma, of a response's size in bytes."""
    return (math.log(4000), 0.8) if method == "GET" else (math.log(600), 0.5)


def rounded_normal(mean: float, sd: float) -> tuple[float, float]:
    """The (m, s) for which max(1, round(N(m, s))) has this mean and sd."""
    m, s = mean, sd
    for _ in range(500):
        upper = [0.5 * (1 + math.erf((k + 0.5 - m) / (s * math.sqrt(2)))) for k in range(1, int(m + 12 * s) + 2)]
        probabilities = [upper[0]] + [b - a for a, b in zip(upper, upper[1:])]
        got = sum(k * p for k, p in enumerate(probabilities, 1))
        got_sd = math.sqrt(sum((k - got) ** 2 * p for k, p in enumerate(probabilities, 1)))
        m, s = m + mean - got, s * sd / got_sd
    return m, s


# --- churn -----------------------------------------------------------------------------------------------------------

CHURN_START = datetime(2025, 1, 1)
PAID_RATIO, CHURN_BASE_RATE = 0.35, 0.35
COUNTRIES = ("IN", "US", "UK", "CA", "AU", "SG")
SOURCES = ("organic", "referral", "ads", "youtube", "community")
COURSES = ("k8s-mastery", "devops-warrior", "mlops-foundation", "argo-cd", "terraform", "linux-pro", "observability")
PRICE, PAYMENT_SUCCESS, TICKET_RATE, ENROL_RATE = 499.0, 0.93, 0.005, 0.05
# A session starts early enough in the day for the activity that follows to stay on its date.
SESSION_STARTS_S, SESSION_LENGTH_S = 79_200, 7_200
CHURN_USER_COLUMNS = ("user_id", "signup_date", "plan", "is_paid", "country", "marketing_source", "engagement_score")
CHURN_EVENT_COLUMNS = ("event_id", "user_id", "event_time", "event_type", "course_id", "watch_minutes", "quiz_score", "amount")


def signup_spread(days: int) -> int:
    return min(40, max(30, days // 3))


def billing_days(start: datetime, days: int) -> list[int]:
    """The day numbers, from 0, of the firsts of the months inside the window."""
    firsts = [0] if start.day == 1 else []
    return firsts + [ms // DAY_MS for ms in month_starts(start, days) if ms < days * DAY_MS]


# --- the command line ------------------------------------------------------------------------------------------------

Rows = dict[str, int]


def uuid7(milliseconds: int, random_bits: int) -> str:
    """A version 7 UUID of a Unix time; `random_bits` is 74 bits wide."""
    high, low = random_bits >> 62, random_bits & ((1 << 62) - 1)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low))


def command_line(description: str, users: int, days: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=users)
    parser.add_argument("--days", type=int, default=days)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="directory for the tables; made if missing")
    return parser


def report(args: argparse.Namespace, main_table: str, generate: Callable[[], Rows]) -> None:
    """Run `generate`, which returns the rows of each table, and print what it took as one line of JSON."""
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
    elif getattr(args, "format", "csv") != "arrow":
        sys.exit("error: -o DIR is needed")
    wall, cpu = time.perf_counter(), time.process_time()
    rows = generate()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    took = {"wall_seconds": round(wall, 4), "cpu_seconds": round(cpu, 4)}
    print(json.dumps({"users": args.users, "days": args.days, "events": rows[main_table], "rows": rows, **took}))
