"""Email engagement (V2) in plain Python: one user at a time, a row at a time, to events.csv and users.csv."""

import csv
import json
import math
import random
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import common
from common import CAMPAIGNS, EMAIL_START, PERSONAS, Rows

DAY = timedelta(days=1)
TIMING = [common.timing_table(persona) for persona in PERSONAS]
ATTENTION = [common.attention_table(persona) for persona in PERSONAS]
CAMPAIGN_WEIGHTS = [campaign.weight for campaign in CAMPAIGNS]
EPOCH_MS = int(EMAIL_START.replace(tzinfo=UTC).timestamp() * 1000)
MINUTES = range(1440)
MINUTE_CUM_WEIGHTS = list(accumulate(1.0 if 6 <= minute // 60 < 23 else common.NIGHT_WEIGHT for minute in MINUTES))


def poisson(rng: random.Random, mean: float) -> int:
    count, product, limit = 0, rng.random(), math.exp(-mean)
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def moment(rng: random.Random, day: int) -> datetime:
    """A moment of the day: minutes at their weights, seconds uniform."""
    minute = rng.choices(MINUTES, cum_weights=MINUTE_CUM_WEIGHTS)[0]
    return EMAIL_START + timedelta(days=day, minutes=minute, seconds=rng.randrange(60))


def milliseconds(delta: timedelta) -> timedelta:
    return timedelta(milliseconds=round(delta / timedelta(milliseconds=1)))


def latency(rng: random.Random, sent: datetime) -> timedelta:
    seconds = rng.lognormvariate(math.log(12), 0.4)
    if sent.minute <= 2:
        seconds *= rng.uniform(3, 6)
    if sent.hour in (8, 9, 18, 19):
        seconds *= rng.uniform(1.5, 2.5)
    if sent.weekday() >= 5:
        seconds *= 0.7
    return milliseconds(timedelta(seconds=seconds))


def hour_of_week(when: datetime) -> int:
    return when.weekday() * 24 + when.hour


def open_time(rng: random.Random, persona: int, delivered: datetime) -> datetime:
    """By rejection: an exponential delay, kept with the probability of the attention where it falls."""
    while True:
        minutes = common.OPEN_MIN_MINUTES + rng.expovariate(1 / common.OPEN_MEAN_MINUTES)
        if minutes <= common.OPEN_MAX_MINUTES:
            when = delivered + timedelta(minutes=minutes)
            if rng.random() < ATTENTION[persona][hour_of_week(when)]:
                return milliseconds(when - EMAIL_START) + EMAIL_START


def click_delay(rng: random.Random) -> timedelta:
    while (minutes := 1 + rng.expovariate(1 / common.CLICK_MEAN_MINUTES)) > common.CLICK_MAX_MINUTES:
        pass
    return milliseconds(timedelta(minutes=minutes))


def stamp(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds") + "Z"


def event_id(rng: random.Random, when: datetime) -> str:
    return common.uuid7(EPOCH_MS + (when - EMAIL_START) // timedelta(milliseconds=1), rng.getrandbits(74))


class User:
    """One recipient: what happens to them, and the rows that tell of it."""

    def __init__(self, rng: random.Random, user: int, days: int) -> None:
        self.rng, self.days = rng, days
        self.identity = common.identity(user)
        self.persona = common.PERSONA_SLOTS[user % len(common.PERSONA_SLOTS)]
        self.rows: list[tuple[datetime, tuple[Any, ...]]] = []
        persona = PERSONAS[self.persona]
        self.rates = [(persona.open_rate, persona.click_rate)]
        self.months = [EMAIL_START + timedelta(milliseconds=ms) for ms in common.month_starts(EMAIL_START, days)]
        for _ in self.months:
            opens, clicks = self.rates[-1]
            self.rates.append((opens * rng.uniform(*common.DRIFT), clicks * rng.uniform(*common.DRIFT)))
        self.suppressions: list[tuple[datetime, datetime]] = []
        self.hot_paths: list[datetime] = []

    def simulate(self) -> None:
        rng, end = self.rng, EMAIL_START + timedelta(days=self.days)
        sends = []
        for day in range(self.days):
            for _ in range(poisson(rng, common.SENDS_PER_DAY)):
                sends.append((moment(rng, day), rng.choices(CAMPAIGNS, CAMPAIGN_WEIGHTS)[0]))
            if rng.random() < common.BREAKER_RATE:
                self.breaker(moment(rng, day))
            if rng.random() < common.HOT_PATH_RATE:
                when = moment(rng, day)
                self.hot_path(when)
                triggered = when + timedelta(seconds=rng.randrange(25 * 60))
                if rng.random() < common.HOT_PATH_TRIGGERS and triggered < end:
                    sends.append((triggered, CAMPAIGNS[common.ABANDONED_CART]))
        sends.sort()
        times = [when for when, _ in sends]
        for position, (when, campaign) in enumerate(sends):
            recent = position - bisect_left(times, when - DAY)
            self.message(when, campaign, recent)
        self.rows.sort()

    def breaker(self, when: datetime) -> None:
        kind, hours, source = self.rng.choice(common.BREAKERS)
        self.suppressions.append((when, when + timedelta(hours=hours)))
        self.internal(when, kind, "circuit_breaker", source, {"suppression_hours": hours})

    def hot_path(self, when: datetime) -> None:
        kind, source = self.rng.choice(common.HOT_PATHS)
        self.hot_paths.append(when)
        self.internal(when, kind, "hot_path", source, {"hot_path": True})

    def suppressed(self, when: datetime) -> bool:
        return any(start <= when < end for start, end in self.suppressions)

    def p_open(self, when: datetime, recent: int, open_rate: float) -> float:
        if self.suppressed(when):
            return 0.0
        boost = 1.0
        latest = bisect_right(self.hot_paths, when)
        if latest:
            minutes = (when - self.hot_paths[latest - 1]) / timedelta(minutes=1)
            if minutes < 30:
                boost = max(1.0, 2 * math.exp(-minutes / 15))
        timing = TIMING[self.persona][hour_of_week(when)]
        return min(0.98, open_rate * timing * common.minute_factor(when.minute) * common.FATIGUE[min(recent, 3)] * boost)

    def message(self, sent: datetime, campaign: common.Campaign, recent: int) -> None:
        rng = self.rng
        message = event_id(rng, sent)
        esp = rng.choices(common.ESPS, common.ESP_WEIGHTS)[0]
        self.chain(sent, "sent", esp, campaign, message)
        if rng.random() >= 0.99:
            return
        delay = latency(rng, sent)
        delivered = sent + delay
        size = round(campaign.size_kb * 1024 * rng.uniform(0.85, 1.15))
        details = (delay.total_seconds(), stamp(sent), sent.hour, sent.minute, sent.weekday(), campaign.type, size)
        self.chain(delivered, "delivered", esp, campaign, message, details=details)
        open_rate, click_rate = self.rates[bisect_right(self.months, delivered)]
        if rng.random() >= self.p_open(delivered, recent, open_rate):
            return
        opened = open_time(rng, self.persona, delivered)
        if self.suppressed(opened):
            return
        client = (rng.choice(common.USER_AGENTS), rng.choice(common.IP_ADDRESSES))
        self.chain(opened, "opened", esp, campaign, message, client=client)
        clicked = opened + click_delay(rng)
        if rng.random() < click_rate / open_rate and not self.suppressed(clicked):
            self.chain(clicked, "clicked", esp, campaign, message, client=client, url=f"https://shop.example.com/{campaign.id}")

    def chain(self, when: datetime, kind: str, esp: str, campaign: common.Campaign, message: str, *,
              client: tuple[Any, ...] = (None, None), url: str | None = None, details: tuple[Any, ...] = (None,) * 7) -> None:  # fmt: skip
        self.rows.append((when, (event_id(self.rng, when), kind, stamp(when), esp, *self.identity, campaign.id, campaign.name, message,
                                 campaign.subject, url, None, *client, "email", "{}", *details)))  # fmt: skip

    def internal(self, when: datetime, kind: str, campaign: str, source: str, metadata: dict[str, Any]) -> None:
        self.rows.append((when, (event_id(self.rng, when), kind, stamp(when), "internal", *self.identity, campaign, campaign, None, None,
                                 None, None, None, None, source, json.dumps(metadata), *(None,) * 7)))  # fmt: skip


def generate(users: int, days: int, seed: int, out: Path) -> Rows:
    rng = random.Random(seed)
    total = 0
    with open(out / "events.csv", "w", newline="") as events_file, open(out / "users.csv", "w", newline="") as users_file:
        events, recipients = csv.writer(events_file), csv.writer(users_file)
        events.writerow(common.EMAIL_COLUMNS)
        recipients.writerow(common.EMAIL_USER_COLUMNS)
        for number in range(users):
            user = User(rng, number, days)
            user.simulate()
            events.writerows(row for _, row in user.rows)
            recipients.writerow((*user.identity, "UTC"))
            total += len(user.rows)
    return {"events": total, "users": users}


if __name__ == "__main__":
    args = common.command_line(__doc__, users=350, days=101).parse_args()
    common.report(args, "events", lambda: generate(args.users, args.days, args.seed, args.output))
