"""A user's script that type checkers pass, but for the lines that say which mistake they find."""

import populace as pp

run = pp.generate("email", users=5, days=20, seed=1, set={"personas.night_owl.open_rate": 0.3})
run.write("data", format="parquet", ids="uuid", compression="zstd:3").events.count(progress=True)
run.to_csv("csv", overwrite=True)
frame = run.truth.messages.to_pandas(text="category", integers="numpy")
some: pp.Table = run["events"][["message_id", "event_type"]]
batch: pp.Batch
for batch in pp.stream("churn", users=5, columns=["user_id"], ids="text"):
    rows: int = len(batch)
card: pp.Scorecard = pp.score("open", run, frame, min_auc=0.6)
estimate: pp.Estimate = card.gain("latent")
scorer: pp.Scorer = pp.scorer("open", run, metric="auc")
data = pp.datasets.load_churn(users=100, seed=1)
X, y = pp.datasets.load_open(users=100, return_X_y=True)
names: list[str] = list(X.columns)
shape: tuple[int, ...] = pp.datasets.load_anomaly(users=100, as_frame=False, return_X_y=True)[0].shape
train, test = pp.datasets.make_split(data, test_size=0.5)
first: pp.Replay = pp.replay("email", actor=1, seed=2, users=3)
needed = pp.plan("email", "fatigue", users=200)["users"]
verdicts: pp.Verdicts = run.verify(alpha=0.01, threads=1)
compared: pp.Result = run.compare(run, "compare.html", progress=True)
log = pp.policy.replay(run, policy="explore")
learned: pp.policy.Learned = pp.policy.learn(log, "best_hour", train_until="2025-11-20")
values: pp.policy.Values = pp.policy.value(log, {"learned": learned, "hours": learned.to_frame()}, reward={"open": 1, "click": 3})
better: pp.Estimate = values.difference("learned", "user")
found: pp.policy.Evaluation = pp.policy.evaluate(log, learned, start="2025-11-20", progress=True)
rounds = log.to_obp(target="oracle")["n_rounds"]

pp.policy.learn(log, "best_hours")  # error: best_hours
values.estimate("learned", "users")  # error: users
pp.policy.replay(log, polcy="oracle")  # error: polcy
pp.generate("email", usrs=5)  # error: usrs
pp.stream("email", usrs=5)  # error: usrs
pp.plan("email", "fatigue", usrs=5)  # error: usrs
pp.replay("email", actor=1, usrs=5)  # error: usrs
run.write("data", format="parqet")  # error: parqet
run.to_parquet("data", parquet="small")  # error: small
run.events.to_pandas(ids="uid")  # error: uid
pp.score("opens", run, frame)  # error: opens
run.compare(run, thread=1)  # error: thread
pp.scorer("open", run, metric="gains")  # error: gains
pp.generate("email", users="5")  # error: "5"
pair: tuple[object, object] = pp.datasets.load_churn(users=100)  # error: Bunch
both: pp.datasets.Bunch = pp.datasets.load_click(users=100, return_X_y=True)  # error: Bunch
pp.datasets.load_send_time(user=100)  # error: load_send_time
