"""A hunt for leaks: gradient boosting on every column of the data tables, against the ceiling of each task.

    tests/leaks/run PROGRAM [ROUNDS [FAMILY...]]

The ceiling p of a row is P(label | all that is known at the moment of the prediction), if nothing leaks. Then label − p has mean 0 given any
feature that is known then. Boosting learns label − p from half of the actors and predicts it, h, for the other half, and the other way
round. z = Σ h (label − p) over its standard error, from sums by actor, is about normal with mean 0 and deviation 1 if nothing leaks. A
column that tells more than the ceiling knows makes it large. The program ends with 1 if a |z| exceeds 3.

Features are all columns of the tables but those that are the outcome: numbers as they are, text by frequency and by its first and last
digits, ids by their bits, the position of a row in its table, and the same of the rows around it where they are known at that moment.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

LIMIT = 3.0
SLOW = ["--set", "workflow.avg_response_times={}", "--set", "response_times.default_mean_ms=2500", "--set", "cascade.slow_factor=[1.0, 1.8]"]
HARD = ["--cascade-failure-rate", "0.3", "--set", "cascade.unavailable=0.02", "--set", "cascade.timeout=0.05",
        "--set", 'statuses={"200": 0.9, "503": 0.03, "504": 0.02}', "--set", "cascade.retry=0.05"]
# By family: the arguments of `generate`.
DOCUMENTS = {
    "email": [
        ["-n", "1050"],
        ["-n", "600", "-d", "45", "--set", "personas.night_owl.open_rate=0.3"],
        ["-n", "1050", "-d", "30", "--set", "hot_paths.probability=0.6"],
        ["-n", "700", "-d", "60", "--set", "circuit_breakers.probability=0.1"],
    ],
    "traces": [
        ["-n", "1500", *HARD],
        ["-n", "1500", *HARD, *SLOW],
        ["-n", "1500", *HARD, *SLOW, "--set", "delays.usual_seconds=[2.0, 2.2]"],
        ["-n", "2000", "--workflow", "microservices", *HARD],
    ],
    "churn": [
        ["-n", "8000"],
        ["-n", "6000", "-d", "60", "--set", "engagement.alpha=0.5", "--set", "engagement.beta=0.5"],
        ["-n", "6000", "--set", "churn_base_rate=0.6"],
        ["-n", "6000", "-d", "240", "--no-latent"],
    ],
}
TASKS = {"email": ["open", "click", "latency"], "traces": ["anomaly of calls", "anomaly of sessions", "transitions"], "churn": ["churn"]}


def digits(text):
    """What a text may carry: which it is, how frequent, and what its digits are at both ends."""
    code, distinct = pd.factorize(text.astype(object).where(text.notna(), "").astype(str).to_numpy(dtype=object))
    first = [re.search("[0-9a-f]{1,8}", one) for one in distinct]
    last = [re.search("[0-9a-f]{1,8}$", one) for one in distinct]
    start, end = (np.array([int(found.group(), 16) if found else 0 for found in one], dtype=float) for one in (first, last))
    length = np.array([len(one) for one in distinct])
    return {"code": code, "frequency": np.bincount(code)[code], "start": start[code], "end": end[code], "end_16": end[code] % 16, "length": length[code]}


def features(frame, leave_out=()):
    """All columns as numbers."""
    made = {"position": np.arange(len(frame)), "position_2": np.arange(len(frame)) % 2}
    for name in frame.columns:
        column = frame[name]
        if name in leave_out:
            continue
        if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_any_dtype(column):
            micros = column.dt.tz_localize(None).astype("datetime64[us]").astype("int64").where(column.notna())
            made |= {name: micros, f"{name}_ms": micros % 1000, f"{name}_second": micros // 10**6 % 60,
                     f"{name}_minute": micros // 60_000_000 % 1440, f"{name}_day": micros // 86_400_000_000 % 7}
        elif pd.api.types.is_numeric_dtype(column):
            made[name] = column
            if pd.api.types.is_integer_dtype(column):
                made |= {f"{name}_mod_{n}": column % n for n in (2, 7, 350, 1000)}
        else:
            as_text = column.map(lambda value: value.hex() if isinstance(value, bytes) else value)
            made |= {f"{name}_{what}": values for what, values in digits(as_text).items()}
            if name.endswith("_id"):
                # How often an id comes is how much is to come: of a session, its length.
                del made[f"{name}_frequency"]
    return pd.DataFrame(made, index=frame.index).astype("float64")


def residual_test(rows, actors, found):
    """z of the label less the ceiling, against what boosting predicts of it for actors that it has not seen."""
    residual = rows.label.astype(float) - rows.p
    fold = pd.util.hash_array(actors.astype(str).to_numpy(dtype=object)) % 2
    found = found.loc[:, found.nunique() > 1].assign(p=rows.p)
    predicted = np.zeros(len(rows))
    for half in (0, 1):
        model = HistGradientBoostingRegressor(max_iter=60, learning_rate=0.05, min_samples_leaf=40, random_state=0)
        model.fit(found[fold != half], residual[fold != half])
        predicted[fold == half] = model.predict(found[fold == half])
    by_actor = (residual * predicted).groupby(actors.to_numpy()).sum()
    return by_actor.sum() / np.sqrt((by_actor**2).sum())


def table(run, name):
    path = run / name
    return pd.read_parquet(path if path.exists() else path.with_suffix(".parquet"))


def text(ids):
    """Ids without hyphens, whatever their type."""
    return ids.map(lambda value: value.hex() if isinstance(value, bytes) else str(value).replace("-", ""))


class Hunt:
    """One run."""

    def __init__(self, program, run):
        self.program, self.run = program, run

    def ceiling(self, task, ids, extra=""):
        """Label and ceiling of each row, by id."""
        predictions = self.run / "predictions.csv"
        rows = self.run / "rows.csv"
        header = {"open": "message_id", "click": "message_id", "latency": "message_id", "churn": "user_id"}.get(task, extra)
        value = "seconds" if task == "latency" else "score"
        pd.DataFrame({header: ids, value: 0.5}).to_csv(predictions, index=False)
        subprocess.run([self.program, "score", task, self.run, predictions, "--rows", rows], check=True, stdout=subprocess.DEVNULL)
        found = pd.read_csv(rows, dtype={header: str})
        found = found.set_index(found[header].str.replace("-", ""))
        return found[~found.index.duplicated()]

    # Email: what is known at the moment is the recipient's row, the earlier rows of the recipient, and the message's own.
    def engagement(self, task):
        events, users = table(self.run, "events"), table(self.run, "users")
        events["position_in_table"] = np.arange(len(events))
        moment = "delivered" if task == "open" else "opened"
        asked = events[events.event_type == moment].drop_duplicates("message_id").reset_index(drop=True)
        rows = self.ceiling(task, text(asked.message_id)).reindex(text(asked.message_id)).reset_index(drop=True)
        rows["p"] = rows.p_observable
        sent = events[events.event_type == "sent"].add_prefix("sent_").set_index("sent_message_id").reindex(asked.message_id).reset_index(drop=True)
        user = users.add_prefix("user_").assign(user_position=np.arange(len(users)))
        user = user.set_index("user_recipient_id", drop=False).reindex(asked.recipient_id).reset_index(drop=True)
        earlier = pd.DataFrame(index=asked.index)
        for kind in ("opened", "clicked", "delivered", "site_visit", "complaint"):
            times = {key: np.sort(part.to_numpy()) for key, part in events[events.event_type == kind].groupby("recipient_id").timestamp}
            none = events.timestamp.iloc[:0].to_numpy()
            before = [np.searchsorted(times.get(key, none), time) for key, time in zip(asked.recipient_id, asked.timestamp.to_numpy())]
            earlier[f"earlier_{kind}"] = before
        found = pd.concat([features(asked), features(sent).add_prefix("of_sent_"), features(user).add_prefix("of_user_"), earlier], axis=1)
        return rows, asked.recipient_id, found

    def latency(self):
        events = table(self.run, "events")
        asked = events[events.event_type == "delivered"].reset_index(drop=True)
        rows = self.ceiling("latency", text(asked.message_id)).reindex(text(asked.message_id)).reset_index(drop=True)
        sent = events[events.event_type == "sent"].set_index("message_id").reindex(asked.message_id).reset_index(drop=True)
        return pd.DataFrame({"label": rows.label > rows.observable_median, "p": 0.5}), asked.recipient_id, features(sent)

    # Traces: all of the session is known.
    def anomaly(self, unit):
        calls = table(self.run, "calls")
        calls["gap"] = calls.groupby("session_id").timestamp.shift(-1).sub(calls.timestamp).dt.total_seconds()
        calls["slack"] = calls.gap - calls.response_time_ms / 1000
        calls["is_retried"] = calls.call_id.isin(set(calls.retry_of.dropna()))
        found = features(calls)
        for name, by in (("next", -1), ("before", 1)):
            around = found.groupby(calls.session_id.to_numpy()).shift(by)
            found = pd.concat([found, around[["response_time_ms", "status_code", "gap", "slack", "attempt"]].add_prefix(f"{name}_")], axis=1)
        if unit == "call_id":
            rows = self.ceiling("anomaly", text(calls.call_id), unit).reindex(text(calls.call_id)).reset_index(drop=True)
            return rows.assign(p=rows.p_observable), calls.user_id, found
        sessions = table(self.run, "sessions")
        rows = self.ceiling("anomaly", text(sessions.session_id), unit).reindex(text(sessions.session_id)).reset_index(drop=True)
        of_calls = found.groupby(calls.session_id.to_numpy()).agg(["mean", "min", "max", "last"])
        of_calls.columns = ["_".join(name) for name in of_calls.columns]
        found = pd.concat([features(sessions), of_calls.reindex(sessions.session_id).reset_index(drop=True)], axis=1)
        return rows.assign(p=rows.p_observable), sessions.user_id, found

    def transitions(self):
        calls = table(self.run, "calls")
        # A fault tells that half of the session is over, and so where it goes: only sessions without a cascade follow the table.
        sessions = table(self.run, "truth/sessions")
        healthy = text(calls.session_id).isin(set(text(sessions.session_id[~sessions.is_cascade])))
        calls = calls[(calls.attempt == 1) & healthy].reset_index(drop=True)
        after = calls.groupby("session_id").endpoint.shift(-1)
        truth = table(self.run, "truth/transitions")
        likeliest = truth.sort_values("probability").groupby("from").last()
        known = after.notna() & calls.endpoint.isin(likeliest.index)
        asked = calls[known].reset_index(drop=True)
        best = likeliest.reindex(asked.endpoint).reset_index(drop=True)
        rows = pd.DataFrame({"label": after[known].reset_index(drop=True) == best.to, "p": best.probability})
        found = features(asked)
        place = asked.groupby("session_id").cumcount()
        before = asked.groupby("session_id").endpoint.shift(1)
        return rows, asked.user_id, found.assign(place=place, before=pd.factorize(before)[0])

    def churn(self):
        users, events = table(self.run, "users"), table(self.run, "events")
        days = (events.event_time - events.event_time.min().normalize()).dt.days
        asof = (days.max() + 1) // 4 - 1
        rows = self.ceiling("churn", users.user_id.astype(str)).reindex(users.user_id.astype(str)).reset_index(drop=True)
        known = rows.label.notna()
        seen = events[days <= asof]
        # Ids are numbers that a model may subtract.
        per_user = seen.groupby("user_id").agg(first_id=("event_id", "min"), last_id=("event_id", "max"), events=("event_id", "size"),
                                               first=("event_time", "min"), last=("event_time", "max"))
        of_user = per_user.reindex(users.user_id).reset_index(drop=True)
        of_user["id_to_the_next_user"] = of_user.first_id.shift(-1) - of_user.first_id
        counts = seen.groupby(["user_id", "event_type"]).size().unstack(fill_value=0).reindex(users.user_id, fill_value=0).reset_index(drop=True)
        numbers = seen.groupby("user_id").mean(numeric_only=True).drop(columns="event_id").reindex(users.user_id).reset_index(drop=True)
        # engagement_score is latent: with it a model reaches everything known, which is no leak.
        found = pd.concat([features(users, ["engagement_score"]), features(of_user).add_prefix("of_user_"), counts, numbers.add_prefix("mean_")], axis=1)
        rows = rows.assign(p=rows.p_observable)
        return rows[known].reset_index(drop=True), users.user_id[known].reset_index(drop=True), found[known.to_numpy()].reset_index(drop=True)

    def of(self, task):
        if task in ("open", "click"):
            return self.engagement(task)
        if task.startswith("anomaly"):
            return self.anomaly("call_id" if task.endswith("calls") else "session_id")
        return getattr(self, task)()


def main(program, rounds, *families):
    missed = tried = 0
    for family, documents in DOCUMENTS.items():
        if families and family not in families:
            continue
        for number, arguments in enumerate(documents):
            for seed in range(101, 101 + rounds):
                with tempfile.TemporaryDirectory() as directory:
                    run = Path(directory) / "run"
                    subprocess.run([program, "generate", family, *arguments, "-s", str(seed), "-f", "parquet", "-q", "-o", run], check=True)
                    for task in TASKS[family]:
                        rows, actors, found = Hunt(program, run).of(task)
                        z = residual_test(rows, actors, found)
                        tried += 1
                        missed += abs(z) > LIMIT
                        verdict = "LEAK" if abs(z) > LIMIT else "ok"
                        print(f"{verdict:5} {family} {number + 1} seed {seed}  {task:20} z {z:6.2f}  {len(rows)} rows, {found.shape[1]} features", flush=True)
    print(f"{tried} tried, {missed} leaks")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1, *sys.argv[3:]))
