"""Email engagement (V2) in vectorised NumPy: every send of a block of users at once.

A user and a moment make one sortable 64-bit key, so that "sends in the last 24 hours", "the latest hot path" and "inside a
suppression" are each one binary search over the whole block; the open delay is drawn from its exact law by inverting the
integral of exponential × attention. Nothing is simplified.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

import columns
import common
from columns import Tables, choose, nulls, numbers, times, uuids, words
from common import CAMPAIGNS, DAY_MS, HOUR_MS, PERSONAS

SPAN = 1 << 40  # key = user × SPAN + milliseconds since the start
MINUTE_MS = 60_000
START_MS = int(np.datetime64(common.EMAIL_START, "ms").astype(int))
FIRST_WEEKDAY = common.EMAIL_START.weekday()

SLOTS = np.array(common.PERSONA_SLOTS)
OPEN_RATE = np.array([persona.open_rate for persona in PERSONAS])
CLICK_RATE = np.array([persona.click_rate for persona in PERSONAS])
TIMING = np.array([common.timing_table(persona) for persona in PERSONAS])
ATTENTION = np.array([common.attention_table(persona) for persona in PERSONAS])
MINUTE = np.array([common.minute_factor(minute) for minute in range(60)])
FATIGUE = np.array(common.FATIGUE)
CAMPAIGN_WEIGHTS = [campaign.weight for campaign in CAMPAIGNS]
CAMPAIGN_KB = np.array([campaign.size_kb for campaign in CAMPAIGNS])
BREAKER_MS = np.array([hours * HOUR_MS for _, hours, _ in common.BREAKERS])

TYPES = ("sent", "delivered", "opened", "clicked", *(kind for kind, _ in common.HOT_PATHS), *(kind for kind, _, _ in common.BREAKERS))
SENT, DELIVERED, OPENED, CLICKED, HOT_PATH, BREAKER = 0, 1, 2, 3, 4, 4 + len(common.HOT_PATHS)
ESPS = (*common.ESPS, "internal")
INTERNAL = len(common.ESPS)
CAMPAIGN_IDS = (*(campaign.id for campaign in CAMPAIGNS), "hot_path", "circuit_breaker")
CAMPAIGN_NAMES = (*(campaign.name for campaign in CAMPAIGNS), "hot_path", "circuit_breaker")
SUBJECTS = tuple(campaign.subject for campaign in CAMPAIGNS)
URLS = tuple(f"https://shop.example.com/{campaign.id}" for campaign in CAMPAIGNS)
CAMPAIGN_TYPES = ("promotional", "transactional")
CAMPAIGN_TYPE = np.array([CAMPAIGN_TYPES.index(campaign.type) for campaign in CAMPAIGNS])
SOURCES = ("email", *(source for _, source in common.HOT_PATHS), *(source for _, _, source in common.BREAKERS))
METADATA = ("{}", *['{"hot_path": true}'] * 3, *(f'{{"suppression_hours": {hours}}}' for _, hours, _ in common.BREAKERS))

# ∫ from t to the end of a three-week axis of attention × exp(-t/mean), at each whole hour, for each persona. Summed from
# the far end, where the terms are smallest, so that differences keep their precision everywhere.
_TAU_H = common.OPEN_MEAN_MINUTES / 60
_AXIS_H = np.arange(24 * 21 + 1)
_DECAY = np.exp(-_AXIS_H / _TAU_H)
_LEVEL = ATTENTION[:, _AXIS_H[:-1] % 168]
TAIL = np.concatenate([np.cumsum((_LEVEL * -np.diff(_DECAY))[:, ::-1], axis=1)[:, ::-1], np.zeros((len(PERSONAS), 1))], axis=1)


def moments(rng: np.random.Generator, days: np.ndarray) -> np.ndarray:
    """A moment of each day, to the second, at the weights of the minutes: 17 hours of 1, then 7 of NIGHT_WEIGHT."""
    position = rng.random(len(days)) * (17 + 7 * common.NIGHT_WEIGHT)
    hours = np.where(position < 17, 6 + position, 23 + (position - 17) / common.NIGHT_WEIGHT)
    return days * DAY_MS + (hours * 3600).astype(np.int64) * 1000 % DAY_MS


def daily(rng: np.random.Generator, users: int, days: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """User and moment of what happens at most once a day, with probability `rate`."""
    user, day = np.nonzero(rng.random((users, days)) < rate)
    return user, moments(rng, day)


def hour_of_week(time: np.ndarray) -> np.ndarray:
    return (time // HOUR_MS + FIRST_WEEKDAY * 24) % 168


def latencies(rng: np.random.Generator, sent: np.ndarray) -> np.ndarray:
    n, hour = len(sent), sent // HOUR_MS % 24
    seconds = 12 * np.exp(0.4 * rng.normal(size=n))
    seconds *= np.where(sent // MINUTE_MS % 60 <= 2, rng.uniform(3, 6, n), 1.0)
    seconds *= np.where(np.isin(hour, (8, 9, 18, 19)), rng.uniform(1.5, 2.5, n), 1.0)
    seconds *= np.where(hour_of_week(sent) >= 120, 0.7, 1.0)
    return np.rint(seconds * 1000).astype(np.int64)


def tail(persona: np.ndarray, hours: np.ndarray) -> np.ndarray:
    after = hours.astype(np.int64) + 1
    return TAIL[persona, after] + ATTENTION[persona, (after - 1) % 168] * (np.exp(-hours / _TAU_H) - _DECAY[after])


def open_delays(rng: np.random.Generator, persona: np.ndarray, delivered: np.ndarray) -> np.ndarray:
    week_hours = (delivered / HOUR_MS + FIRST_WEEKDAY * 24) % 168
    low, high = (week_hours + m / 60 for m in (common.OPEN_MIN_MINUTES, common.OPEN_MAX_MINUTES))
    start = tail(persona, low)
    target = start - rng.random(len(delivered)) * (start - tail(persona, high))
    after = np.empty(len(delivered), np.int64)
    for p in range(len(PERSONAS)):
        mine = persona == p
        after[mine] = len(_AXIS_H) - np.searchsorted(TAIL[p, ::-1], target[mine], side="right")
    decay = _DECAY[after] + (target - TAIL[persona, after]) / ATTENTION[persona, (after - 1) % 168]
    delay = np.clip(-_TAU_H * np.log(decay), low, high) - week_hours
    return np.rint(delay * HOUR_MS).astype(np.int64)


def click_delays(rng: np.random.Generator, n: int) -> np.ndarray:
    mean = common.CLICK_MEAN_MINUTES
    kept = 1 - np.exp(-(common.CLICK_MAX_MINUTES - 1) / mean)
    return np.rint((1 - mean * np.log1p(-rng.random(n) * kept)) * MINUTE_MS).astype(np.int64)


class Suppressions:
    def __init__(self, user: np.ndarray, time: np.ndarray, duration: np.ndarray) -> None:
        keys = user * SPAN + time
        order = np.argsort(keys)
        self.start = keys[order]
        self.until = np.maximum.accumulate(self.start + duration[order]) if len(keys) else keys

    def cover(self, user: np.ndarray, time: np.ndarray) -> np.ndarray:
        keys = user * SPAN + time
        latest = np.searchsorted(self.start, keys, side="right") - 1
        return (latest >= 0) & (self.until[latest] > keys) if len(self.start) else latest >= 0


def hot_path_factor(hot: np.ndarray, user: np.ndarray, time: np.ndarray) -> np.ndarray:
    if not len(hot):
        return np.ones(len(time))
    keys = user * SPAN + time
    latest = np.searchsorted(hot, keys, side="right") - 1
    minutes = np.where(latest >= 0, keys - hot[latest], SPAN) / MINUTE_MS
    return np.where(minutes < 30, np.maximum(1.0, 2 * np.exp(-np.minimum(minutes, 30) / 15)), 1.0)


def drifting_rates(rng: np.random.Generator, rate: np.ndarray, months: int) -> np.ndarray:
    """The rate of each user in each month; the first is not drifted."""
    factors = rng.uniform(*common.DRIFT, (len(rate), months + 1))
    factors[:, 0] = rate
    return np.cumprod(factors, axis=1)


def block(rng: np.random.Generator, first: int, users: int, days: int, months: np.ndarray, text: bool) -> Tables:
    persona_of = SLOTS[(first + np.arange(users)) % len(SLOTS)]
    open_rates = drifting_rates(rng, OPEN_RATE[persona_of], len(months))
    click_rates = drifting_rates(rng, CLICK_RATE[persona_of], len(months))

    # What happens to each user whatever we send.
    breaker_user, breaker_time = daily(rng, users, days, common.BREAKER_RATE)
    breaker_kind = rng.integers(0, len(common.BREAKERS), len(breaker_user))
    suppressions = Suppressions(breaker_user, breaker_time, BREAKER_MS[breaker_kind])
    hot_user, hot_time = daily(rng, users, days, common.HOT_PATH_RATE)
    hot_kind = rng.integers(0, len(common.HOT_PATHS), len(hot_user))

    # Sends: scheduled, and triggered by hot paths.
    cells = np.repeat(np.arange(users * days), rng.poisson(common.SENDS_PER_DAY, users * days))
    triggered = hot_time + rng.integers(0, 25 * 60, len(hot_time)) * 1000
    fires = (rng.random(len(hot_time)) < common.HOT_PATH_TRIGGERS) & (triggered < days * DAY_MS)
    keys = np.concatenate([cells // days * SPAN + moments(rng, cells % days), hot_user[fires] * SPAN + triggered[fires]])
    campaign = np.full(len(keys), common.ABANDONED_CART)
    campaign[: len(cells)] = choose(rng, len(cells), CAMPAIGN_WEIGHTS)
    order = np.argsort(keys)
    keys, campaign = keys[order], campaign[order]
    user, sent = np.divmod(keys, SPAN)
    n = len(keys)
    recent = np.arange(n) - np.searchsorted(keys, np.maximum(keys - DAY_MS, user * SPAN))
    esp = choose(rng, n, common.ESP_WEIGHTS)
    message_id = columns.uuid7(rng, START_MS + sent)
    latency = latencies(rng, sent)
    delivered = sent + latency

    # The chain, each stage the indices of the messages that reach it.
    arrived = np.flatnonzero(rng.random(n) < 0.99)
    who, when, persona = user[arrived], delivered[arrived], persona_of[user[arrived]]
    month = np.searchsorted(months, when, side="right")
    open_rate = open_rates[who, month]
    p_open = open_rate * TIMING[persona, hour_of_week(when)] * MINUTE[when // MINUTE_MS % 60] * FATIGUE[np.minimum(recent[arrived], 3)]
    p_open *= hot_path_factor(np.sort(hot_user * SPAN + hot_time), who, when)
    p_open = np.minimum(p_open, 0.98) * ~suppressions.cover(who, when)
    chosen = rng.random(len(arrived)) < p_open
    opened = arrived[chosen]
    open_time = when[chosen] + open_delays(rng, persona[chosen], when[chosen])
    p_click = (click_rates[who, month] / open_rate)[chosen]
    kept = ~suppressions.cover(user[opened], open_time)
    opened, open_time, p_click = opened[kept], open_time[kept], p_click[kept]
    clicks = rng.random(len(opened)) < p_click
    click_time = open_time + click_delays(rng, len(opened))
    clicks &= ~suppressions.cover(user[opened], click_time)
    clicked, click_time = opened[clicks], click_time[clicks]

    # All rows, by user and then time. `message` is -1 on rows that belong to none.
    none = np.full(len(hot_user) + len(breaker_user), -1)
    message = np.concatenate([np.arange(n), arrived, opened, clicked, none])
    kind = np.repeat(np.array([SENT, DELIVERED, OPENED, CLICKED], np.int8), [n, len(arrived), len(opened), len(clicked)])
    kind = np.concatenate([kind, HOT_PATH + hot_kind, BREAKER + breaker_kind])
    owner = np.concatenate([user, user[arrived], user[opened], user[clicked], hot_user, breaker_user])
    keys = owner * SPAN + np.concatenate([sent, delivered[arrived], open_time, click_time, hot_time, breaker_time])
    order = np.argsort(keys, kind="stable")
    message, kind, keys = message[order], kind[order], keys[order]
    owner, time = np.divmod(keys, SPAN)
    internal, not_delivered = message < 0, kind != DELIVERED
    not_engaged = (kind < OPENED) | internal
    label = np.where(internal, np.where(kind < BREAKER, len(CAMPAIGNS), len(CAMPAIGNS) + 1), campaign[message])
    row_campaign = np.where(internal, 0, label)
    rows, sent_at = len(kind), sent[message]
    agent, address = rng.integers(0, len(common.USER_AGENTS), n), rng.integers(0, len(common.IP_ADDRESSES), n)
    size = np.rint(CAMPAIGN_KB[row_campaign] * 1024 * rng.uniform(0.85, 1.15, rows)).astype(np.int32)
    what = np.where(internal, kind - (HOT_PATH - 1), 0)

    recipients, universals, hashes = zip(*(common.identity(first + u) for u in range(users)))
    events = (
        uuids(columns.uuid7(rng, START_MS + time), text),
        words(kind, TYPES),
        times(START_MS + time, text),
        words(np.where(internal, INTERNAL, esp[message]), ESPS),
        words(owner, recipients),
        words(owner, universals),
        words(owner, hashes),
        words(label, CAMPAIGN_IDS),
        words(label, CAMPAIGN_NAMES),
        uuids(message_id[message], text, mask=internal),
        words(row_campaign, SUBJECTS, mask=internal),
        words(row_campaign, URLS, mask=kind != CLICKED),
        nulls(rows),
        words(agent[message], common.USER_AGENTS, mask=not_engaged),
        words(address[message], common.IP_ADDRESSES, mask=not_engaged),
        words(what, SOURCES),
        words(what, METADATA),
        numbers(latency[message] / 1000, mask=not_delivered),
        times(START_MS + sent_at, text, mask=not_delivered),
        numbers((sent_at // HOUR_MS % 24).astype(np.int8), mask=not_delivered),
        numbers((sent_at // MINUTE_MS % 60).astype(np.int8), mask=not_delivered),
        numbers((hour_of_week(sent_at) // 24).astype(np.int8), mask=not_delivered),
        words(CAMPAIGN_TYPE[row_campaign], CAMPAIGN_TYPES, mask=not_delivered),
        numbers(size, mask=not_delivered),
    )
    accounts = (pa.array(recipients), pa.array(universals), pa.array(hashes), pa.array(["UTC"] * users))
    return {
        "events": pa.RecordBatch.from_arrays(list(events), names=common.EMAIL_COLUMNS),
        "users": pa.RecordBatch.from_arrays(list(accounts), names=common.EMAIL_USER_COLUMNS),
    }


def batches(rng: np.random.Generator, users: int, days: int, text: bool) -> Iterator[Tables]:
    months = np.array(common.month_starts(common.EMAIL_START, days), np.int64)
    return (block(rng, first, count, days, months, text) for first, count in columns.blocks(users, 200))


if __name__ == "__main__":
    args = columns.command_line(__doc__, users=5_000, days=101)
    columns.report(args, "events", lambda rng: batches(rng, args.users, args.days, args.format == "csv"))
