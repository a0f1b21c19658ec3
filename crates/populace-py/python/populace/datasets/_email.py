"""Will this message be opened, will its link be clicked, and when is it best sent?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from populace import _options
from populace._run import Run, generate
from populace._score import labels
from populace.datasets._bunch import Bunch, bunch

if TYPE_CHECKING:
    import pandas

    from populace.datasets._bunch import Arrays, Frames

_WHAT = {
    "open": "Will a message be opened? One row is a delivered message, as is known at its delivery; y is 1 if it is opened.",
    "click": "Will the link in a message be clicked? One row is an opened message, as is known at the open; y is 1 if it is clicked.",
    "send_time": """At which minute of the week is a message to a recipient best delivered? One row is a recipient after the whole run; y is
the best minute (0 is Monday 00:00 UTC), p_latent P(open) then, p_observable P(open) at the best minute that the history shows. Several
minutes may be equally good: pp.score("send_time", run, …) grades by what a minute is worth.""",
}
_HOURS_AT_MOST = 720.0
_SIGNALS = ("support_ticket", "complaint", "unsubscribe_request")
_FEATURES = {
    "hour": "hour of the day, UTC",
    "minute": "minute of the hour",
    "day_of_week": "day of the week, Monday 0",
    "latency_seconds": "seconds from sending to delivery",
    "payload_kb": "size of the message",
    "promotional": "1 if promotional, 0 if transactional",
    "minutes_to_open": "minutes from the delivery to the open",
    "sends_24h": "sends to the recipient in the 24 hours before, this one excluded",
    "sends_7d": "sends to the recipient in the 7 days before, this one excluded",
    "hours_since_open": "hours since the recipient's latest open, at most 720",
    "hours_since_click": "hours since the recipient's latest click, at most 720",
    "hours_since_visit": "hours since the latest visit, product view or click in a text message, at most 720",
    **{f"hours_since_{name}": f"hours since the latest {name.replace('_', ' ')}, at most 720" for name in _SIGNALS},
    "messages": "messages delivered to the recipient before",
    "open_rate": "share of them that was opened, drawn towards 0.3 by two messages",
    "open_rate_hour": "the same of messages delivered within an hour of this hour of the day, drawn towards open_rate by two messages",
    "open_rate_weekday": "the same of messages delivered on this day of the week, drawn towards open_rate by two messages",
    "click_rate": "clicks by open before, drawn towards 0.4 by two opens",
    "opens": "opens before",
    **{f"opens_{hour:02}h": f"share of the recipient's opens from {hour}:00 to {hour}:59 UTC" for hour in range(24)},
    **{f"opens_day_{day}": f"share of the recipient's opens on day {day} of the week, Monday 0" for day in range(7)},
}


class _History:
    """Moments of many owners: how many lie before another, and when the latest was."""

    def __init__(self, owners: Any, times: Any, span: int) -> None:
        import numpy

        self.span, self.keys = span, numpy.sort(numpy.asarray(owners, dtype="int64") * span + numpy.asarray(times, dtype="int64"))

    def count(self, owners: Any, times: Any, within: int | None = None) -> Any:
        """Those before each time, at most `within` milliseconds."""
        import numpy

        first = owners * self.span + (0 if within is None else numpy.maximum(times - within, 0))
        return numpy.searchsorted(self.keys, owners * self.span + times) - numpy.searchsorted(self.keys, first)

    def hours_since(self, owners: Any, times: Any) -> Any:
        """Hours since the latest before each time, at most `_HOURS_AT_MOST`."""
        import numpy

        at = numpy.searchsorted(self.keys, owners * self.span + times) - 1
        latest = numpy.where(at >= 0, self.keys[numpy.maximum(at, 0)] if len(self.keys) else -1, -1)
        same = (latest // self.span == owners) & (at >= 0)
        hours = (owners * self.span + times - latest) / 3_600_000
        return numpy.where(same, numpy.minimum(hours, _HOURS_AT_MOST), _HOURS_AT_MOST)


def _load(task: Literal["open", "click"], run: Run, as_frame: bool, return_X_y: bool) -> Bunch | Frames | Arrays:
    import pandas

    truth = labels(task, run)
    wanted = ["event_type", "timestamp", "recipient_id", "message_id", "latency_seconds", "payload_size_bytes", "campaign_type"]
    events = run["events"].select(*wanted).to_pandas()
    owner, names = pandas.factorize(events.recipient_id)
    # Milliseconds since the first event: the history of an owner is a stretch of one sorted array.
    moment = (events.timestamp - events.timestamp.min()) // pandas.Timedelta(milliseconds=1)
    events = events.assign(owner=owner.astype("int64"), moment=moment.astype("int64"))
    span = int(events.moment.max()) + 1
    delivered = events[events.event_type == "delivered"].set_index("message_id")
    opened = events[events.event_type == "opened"].set_index("message_id")
    clicked, sent = events[events.event_type == "clicked"], events[events.event_type == "sent"]
    rows = (delivered if task == "open" else opened).loc[truth.index]
    sources = delivered.loc[rows.index]

    def history(part: pandas.DataFrame) -> _History:
        return _History(part.owner, part.moment, span)

    owners, now = rows.owner.to_numpy(), rows.moment.to_numpy()
    clock = rows.timestamp.dt
    messages, opens = history(delivered), history(opened)

    def drawn(good: Any, tried: Any, towards: Any) -> Any:
        return (good + 2 * towards) / (tried + 2)

    tried, good = messages.count(owners, now), opens.count(owners, now)
    rate = drawn(good, tried, 0.3)
    source_of_open = delivered.loc[opened.index]

    def rate_by(part_of_time: str, size: int, near: tuple[int, ...]) -> Any:
        """The open rate of earlier messages that were delivered at a like time."""

        def of(part: pandas.DataFrame) -> Any:
            return getattr(part.timestamp.dt, part_of_time).to_numpy()

        all_, good_ = _History(delivered.owner * size + of(delivered), delivered.moment, span), _History(opened.owner.to_numpy() * size + of(source_of_open), opened.moment, span)
        cells = [owners * size + (of(rows) + step) % size for step in near]

        def count(past: _History) -> Any:
            return sum(past.count(cell, now) for cell in cells)

        return drawn(count(good_), count(all_), rate)

    day = 24 * 3_600_000
    mails, at_send = history(sent), now - (rows.moment - sources.moment).to_numpy() - (sources.latency_seconds * 1000).round().to_numpy().astype("int64")
    X = pandas.DataFrame(
        {
            "hour": clock.hour,
            "minute": clock.minute,
            "day_of_week": clock.day_of_week,
            "latency_seconds": sources.latency_seconds,
            "payload_kb": sources.payload_size_bytes.astype("float64") / 1024,
            "promotional": (sources.campaign_type == "promotional").astype("float64"),
            **({"minutes_to_open": (rows.moment - sources.moment) / 60_000} if task == "click" else {}),
            "sends_24h": mails.count(owners, at_send, day),
            "sends_7d": mails.count(owners, at_send, 7 * day),
            "hours_since_open": opens.hours_since(owners, now),
            "hours_since_click": history(clicked).hours_since(owners, now),
            "hours_since_visit": history(events[events.event_type.isin(["site_visit", "sms_click", "product_view"])]).hours_since(owners, now),
            **{f"hours_since_{name}": history(events[events.event_type == name]).hours_since(owners, now) for name in _SIGNALS},
            "messages": tried,
            "open_rate": rate,
            "open_rate_hour": rate_by("hour", 24, (-1, 0, 1)),
            "open_rate_weekday": rate_by("day_of_week", 7, (0,)),
            "click_rate": drawn(history(clicked).count(owners, now), good, 0.4),
        },
        index=rows.index,
    )
    return bunch(task, run, X, truth, rows.recipient_id, _WHAT[task], _FEATURES, as_frame, return_X_y)


@overload
def load_open(users: int = ..., seed: int = ..., as_frame: bool = ..., return_X_y: Literal[False] = ..., *, days: int | None = ..., run: Run | None = ...) -> Bunch: ...
@overload
def load_open(users: int = ..., seed: int = ..., as_frame: Literal[True] = ..., *, return_X_y: Literal[True], days: int | None = ..., run: Run | None = ...) -> Frames: ...
@overload
def load_open(users: int = ..., seed: int = ..., *, as_frame: Literal[False], return_X_y: Literal[True], days: int | None = ..., run: Run | None = ...) -> Arrays: ...
@overload
def load_open(users: int = ..., seed: int = ..., as_frame: bool = ..., return_X_y: bool = ..., *, days: int | None = ..., run: Run | None = ...) -> Bunch | Frames | Arrays: ...
@_options.keywords
def load_open(
    users: int = 350, seed: int = 0, as_frame: bool = True, return_X_y: bool = False, *, days: int | None = None, run: Run | None = None
) -> Bunch | Frames | Arrays:
    """Delivered messages, and whether they are opened. Gives a `Bunch`, or `(X, y)`.

    `run` is another run of email to take instead of `users`, `days` and `seed`.
    """
    return _load("open", generate("email", users=users, days=days, seed=seed) if run is None else run, as_frame, return_X_y)


@overload
def load_click(users: int = ..., seed: int = ..., as_frame: bool = ..., return_X_y: Literal[False] = ..., *, days: int | None = ..., run: Run | None = ...) -> Bunch: ...
@overload
def load_click(users: int = ..., seed: int = ..., as_frame: Literal[True] = ..., *, return_X_y: Literal[True], days: int | None = ..., run: Run | None = ...) -> Frames: ...
@overload
def load_click(users: int = ..., seed: int = ..., *, as_frame: Literal[False], return_X_y: Literal[True], days: int | None = ..., run: Run | None = ...) -> Arrays: ...
@overload
def load_click(users: int = ..., seed: int = ..., as_frame: bool = ..., return_X_y: bool = ..., *, days: int | None = ..., run: Run | None = ...) -> Bunch | Frames | Arrays: ...
@_options.keywords
def load_click(
    users: int = 350, seed: int = 0, as_frame: bool = True, return_X_y: bool = False, *, days: int | None = None, run: Run | None = None
) -> Bunch | Frames | Arrays:
    """Opened messages, and whether their link is clicked; else as `load_open`."""
    return _load("click", generate("email", users=users, days=days, seed=seed) if run is None else run, as_frame, return_X_y)


@overload
def load_send_time(users: int = ..., seed: int = ..., as_frame: bool = ..., return_X_y: Literal[False] = ..., *, days: int | None = ..., run: Run | None = ...) -> Bunch: ...
@overload
def load_send_time(users: int = ..., seed: int = ..., as_frame: Literal[True] = ..., *, return_X_y: Literal[True], days: int | None = ..., run: Run | None = ...) -> Frames: ...
@overload
def load_send_time(users: int = ..., seed: int = ..., *, as_frame: Literal[False], return_X_y: Literal[True], days: int | None = ..., run: Run | None = ...) -> Arrays: ...
@overload
def load_send_time(users: int = ..., seed: int = ..., as_frame: bool = ..., return_X_y: bool = ..., *, days: int | None = ..., run: Run | None = ...) -> Bunch | Frames | Arrays: ...
@_options.keywords
def load_send_time(
    users: int = 350, seed: int = 0, as_frame: bool = True, return_X_y: bool = False, *, days: int | None = None, run: Run | None = None
) -> Bunch | Frames | Arrays:
    """Recipients, and the minute of the week at which a message is best delivered; else as `load_open`."""
    import pandas

    run = generate("email", users=users, days=days, seed=seed) if run is None else run
    truth = labels("send_time", run).rename(
        columns={"oracle_minute": "label", "oracle_value": "p_latent", "observable_value": "p_observable"}
    )
    events = run["events"].select("event_type", "timestamp", "recipient_id").to_pandas()
    opened = events[events.event_type == "opened"]

    def count(rows: pandas.DataFrame) -> Any:
        return rows.groupby("recipient_id").size().reindex(truth.index, fill_value=0)

    opens, tried = count(opened), count(events[events.event_type == "delivered"])

    def shares(of: pandas.Series[Any], size: int) -> pandas.DataFrame:
        table = pandas.crosstab(opened.recipient_id, of).reindex(index=truth.index, columns=range(size), fill_value=0)
        return table.div(opens.clip(lower=1), axis=0)

    hours = shares(opened.timestamp.dt.hour, 24).set_axis([f"opens_{hour:02}h" for hour in range(24)], axis=1)
    days_of = shares(opened.timestamp.dt.day_of_week, 7).set_axis([f"opens_day_{day}" for day in range(7)], axis=1)
    X = pandas.concat([pandas.DataFrame({"messages": tried, "opens": opens, "open_rate": (opens + 0.6) / (tried + 2)}), hours, days_of], axis=1)
    return bunch("send_time", run, X, truth, truth.index.to_series(), _WHAT["send_time"], _FEATURES, as_frame, return_X_y)
