"""Do the baselines obey the laws they claim? Runs all six to CSV, reads the files back, compares with the expected figures.

A baseline that skipped half the behaviour would make every ratio against it flattering, so the benchmark can ask.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

import common

HERE = Path(__file__).resolve().parent
# Name, measured, expected, tolerance: about four standard errors at the sizes below.
Figure = tuple[str, float, float, float]
SIZES = {"traces": 5_000, "email": 1_400, "churn": 4_000}


def read(path: Path) -> pa.Table:
    return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))


def share(condition: pa.ChunkedArray) -> float:
    return pc.mean(pc.cast(condition, pa.float64())).as_py()


def counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(column).to_pylist()}


def traces(directory: Path) -> Iterator[Figure]:
    calls, sessions = read(directory / "calls.csv"), read(directory / "sessions.csv")
    n = sessions.num_rows
    yield "calls a session", calls.num_rows / n, 7.709, 0.18
    yield "P(confirmation)", counts(calls["endpoint"])["/api/confirmation"] / n, 0.216, 0.014
    last = pc.not_equal(calls["session_id"][:-1], calls["session_id"][1:]).to_numpy()
    ends = calls["endpoint"].to_numpy()[np.append(last, True)]
    yield "P(truncated at 20)", float((~np.isin(ends, list(common.EXITS))).mean()), 0.028, 0.006
    per_user = np.array(list(counts(sessions["user_id"]).values()))
    yield "sessions a user", per_user.mean(), 3.0, 0.12
    yield "sd of sessions a user", per_user.std(), 2.0, 0.10
    yield "status 200", share(pc.equal(calls["status_code"], 200)), 0.95, 0.003
    before, after = (calls["endpoint"].to_numpy()[part][~last] for part in (slice(None, -1), slice(1, None)))
    worst = 0.0
    for state, row in common.TRANSITIONS.items():
        reached = after[before == state]
        for target, p in row.items():
            worst = max(worst, abs((reached == target).mean() - p) / np.sqrt(p * (1 - p) / len(reached)))
    yield "worst transition, in standard errors", worst, 0.0, 4.5


def email(directory: Path) -> Iterator[Figure]:
    events = read(directory / "events.csv")
    kinds = counts(events["event_type"])
    users = SIZES["email"]
    yield "events of 350 users", events.num_rows * 350 / users, 81_500, 1_500
    yield "breakers of 350 users", sum(kinds[kind] for kind, _, _ in common.BREAKERS) * 350 / users, 848, 60
    yield "hot paths of 350 users", sum(kinds[kind] for kind, _ in common.HOT_PATHS) * 350 / users, 4_242, 130
    yield "delivered / sent", kinds["delivered"] / kinds["sent"], 0.99, 0.002
    latency = events["latency_seconds"].drop_null().to_numpy()
    yield "mean latency, s", latency.mean(), 17.1, 0.4
    yield "median latency, s", float(np.median(latency)), 12.7, 0.3
    yield "95th percentile of latency, s", float(np.quantile(latency, 0.95)), 42.0, 1.5
    top = events["minute"].drop_null().to_numpy() < 3
    yield "latency at minutes 0-2 over the rest", latency[top].mean() / latency[~top].mean(), 4.5, 0.5
    yield "open rate near a hot path over the rest", hot_path_lift(events), 1.45, 0.10
    yield "engagement while suppressed", suppressed_engagement(events), 0, 0


def keys(events: pa.Table, kinds: tuple[str, ...]) -> np.ndarray:
    """Recipient and time of these events as one sorted number."""
    some = events.filter(pc.is_in(events["event_type"], pa.array(kinds)))
    user = pc.cast(pc.utf8_slice_codeunits(some["recipient_id"], len("synth_user_"), 99), pa.int64()).to_numpy()
    time = pc.cast(pc.cast(some["timestamp"], pa.timestamp("ms", "UTC")), pa.int64()).to_numpy()
    return np.sort((user << 42) + time)


def inside(keys: np.ndarray, starts: np.ndarray, length_ms: int) -> np.ndarray:
    latest = np.searchsorted(starts, keys, side="right") - 1
    return (latest >= 0) & (keys - starts[latest] < length_ms)


def hot_path_lift(events: pa.Table) -> float:
    opened = pc.is_in(events["message_id"], events.filter(pc.equal(events["event_type"], "opened"))["message_id"].combine_chunks())
    delivered = pc.equal(events["event_type"], "delivered")
    hot = keys(events, tuple(kind for kind, _ in common.HOT_PATHS))
    arrived, arrived_opened = keys(events.filter(delivered), ("delivered",)), keys(events.filter(pc.and_(delivered, opened)), ("delivered",))
    near, near_opened = inside(arrived, hot, 600_000), inside(arrived_opened, hot, 600_000)
    return (near_opened.sum() / near.sum()) / ((~near_opened).sum() / (~near).sum())


def suppressed_engagement(events: pa.Table) -> float:
    engaged = keys(events, ("opened", "clicked"))
    return float(sum(inside(engaged, keys(events, (kind,)), hours * common.HOUR_MS).sum() for kind, hours, _ in common.BREAKERS))


def churn(directory: Path) -> Iterator[Figure]:
    events, users = read(directory / "events.csv"), read(directory / "users.csv")
    yield "events of 2000 users", events.num_rows * 2000 / users.num_rows, 480_627, 16_000
    yield "paid users", share(pc.equal(users["is_paid"], 1)), common.PAID_RATIO, 0.03
    yield "mean engagement", pc.mean(users["engagement_score"]).as_py(), 2 / 4.5, 0.014
    kinds = counts(events["event_type"])
    attempts = kinds["payment_success"] + kinds["payment_failed"]
    yield "payments that succeed", kinds["payment_success"] / attempts, common.PAYMENT_SUCCESS, 0.014
    yield "videos a login", kinds["video_watch"] / kinds["login"], expected_ratio(0.5, 0.4), 0.01
    yield "quizzes a login", kinds["quiz_attempt"] / kinds["login"], expected_ratio(0.25, 0.35), 0.01
    of_same_user = np.diff(events["user_id"].to_numpy()) == 0
    yield "gaps in a user's event_id", float((np.diff(events["event_id"].to_numpy())[of_same_user] != 1).sum()), 0, 0
    order = (events["user_id"].to_numpy() << 40) + pc.cast(events["event_time"], pa.int64()).to_numpy()
    yield "rows out of order", float((np.diff(order) < 0).sum()), 0, 0
    last = events.group_by("user_id").aggregate([("event_time", "max")])["event_time_max"].to_numpy()
    # Those who churned before, and the few whom chance kept away: both integrated over the law of engagement.
    yield "users silent in the last 12 days", float((last < np.datetime64("2025-04-19")).mean()), 0.281, 0.03


def expected_ratio(base: float, slope: float) -> float:
    """The mean of base + slope × e over the active days of users whose e is Beta(2, 2.5), less the days lost to churn."""
    e = (np.arange(100_000) + 0.5) / 100_000
    p_churn = common.CHURN_BASE_RATE * (1 - 0.25 * common.PAID_RATIO) * (0.4 + 1.4 * (1 - e) ** 1.6)
    weight = e * (1 - e) ** 1.5 * (0.15 + 0.8 * e) * (1 - p_churn * 0.375)
    return float(np.average(base + slope * e, weights=weight))


def main() -> int:
    failures = 0
    for family in ("plain", "numpy"):
        for scenario, laws in (("traces", traces), ("email", email), ("churn", churn)):
            with tempfile.TemporaryDirectory() as directory:
                command = [sys.executable, str(HERE / f"{family}_{scenario}.py"), "--users", str(SIZES[scenario]), "--seed", "7", "-o", directory]
                command += ["--format", "csv"] if family == "numpy" else []
                claimed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                figures = list(laws(Path(directory)))
            print(f"{family}_{scenario}: {claimed['events']:,} events")
            for name, measured, expected, tolerance in figures:
                good = abs(measured - expected) <= tolerance
                failures += not good
                print(f"  {'ok  ' if good else 'FAIL'} {name}: {measured:,.4g} (expected {expected:,.4g} ± {tolerance:g})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
