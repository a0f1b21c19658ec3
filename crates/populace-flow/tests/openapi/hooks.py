"""What a schema cannot say: which values of one request belong together."""

import datetime
import uuid

import schemathesis


def consistent(event):
    """Times of a delivered event that agree with each other."""
    if not isinstance(event, dict) or event.get("event_type") != "delivered":
        return
    clock = ["hour_of_day", "minute", "day_of_week"]
    sent = event.get("send_time")
    if not isinstance(sent, str) or not sent:
        for name in clock:
            event.pop(name, None)
        event.pop("latency_seconds", None)
        return
    at = datetime.datetime.fromisoformat(sent.replace("Z", "+00:00"))
    for name, value in zip(clock, [at.hour, at.minute, at.weekday()]):
        if event.get(name) is not None:
            event[name] = value
    if event.get("latency_seconds") is not None:
        event["latency_seconds"] = 1
        later = at + datetime.timedelta(seconds=1)
        event["timestamp"] = later.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@schemathesis.hook
def before_call(context, case, **kwargs):
    mode = getattr(getattr(case.meta, "generation", None), "mode", None)
    if mode is not None and mode.is_positive:
        # One key belongs to one request.
        if case.headers and "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())
        for event in case.body if isinstance(case.body, list) else [case.body]:
            consistent(event)
