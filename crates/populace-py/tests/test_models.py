"""From data sets to models that are trained, cross-validated and graded, as scikit-learn does it."""

import pickle

import pytest

import populace as pp

numpy, pandas = map(pytest.importorskip, ("numpy", "pandas"))
LOADERS = {
    "churn": lambda **options: pp.datasets.load_churn(users=500, seed=1, **options),
    "open": lambda **options: pp.datasets.load_open(users=70, seed=1, days=60, **options),
    "click": lambda **options: pp.datasets.load_click(users=70, seed=1, days=60, **options),
    "send_time": lambda **options: pp.datasets.load_send_time(users=70, seed=1, days=60, **options),
    "anomaly": lambda **options: pp.datasets.load_anomaly(users=100, seed=1, **options),
}


@pytest.fixture(scope="module")
def data():
    return {task: load() for task, load in LOADERS.items()}


@pytest.mark.parametrize("task", LOADERS)
def test_a_data_set_is_whole_and_is_that_of_its_seed(data, task):
    bunch = data[task]
    again = LOADERS[task](return_X_y=True)
    pandas.testing.assert_frame_equal(bunch.X, again[0])
    pandas.testing.assert_series_equal(bunch.y, again[1])
    assert list(bunch.X) == bunch.feature_names and all(f"  {name}: " in bunch.DESCR for name in bunch.feature_names)
    assert (bunch.X.dtypes == "float64").all() and numpy.isfinite(bunch.X.to_numpy()).all()
    assert bunch.X.index.equals(bunch.y.index) and bunch.groups.index.equals(bunch.y.index) and bunch.X.index.is_unique
    assert all(p is None or p.between(0, 1).all() for p in (bunch.p_observable, bunch.p_latent))
    arrays = LOADERS[task](as_frame=False)
    assert numpy.array_equal(arrays.X, bunch.X.to_numpy()) and numpy.array_equal(arrays.y, bunch.y.to_numpy())
    assert "<pre>" in bunch._repr_html_() and bunch.task == task and "X" in dir(bunch)
    copy = pickle.loads(pickle.dumps(bunch))
    assert copy.run == bunch.run and copy.X.equals(bunch.X)
    with pytest.raises(AttributeError, match="did you mean 'groups'"):
        bunch.group


@pytest.mark.parametrize("task", ["open", "click"])
def test_features_of_email_know_nothing_of_later_events(task):
    """Each feature, counted by hand from the events before the moment."""
    run = pp.generate("email", users=20, seed=2, days=40)
    load = pp.datasets.load_open if task == "open" else pp.datasets.load_click
    whole, events = load(run=run), run.events.to_pandas()
    until = events.timestamp.min() + pandas.Timedelta(days=20)

    kind = "delivered" if task == "open" else "opened"
    moments = events[(events.event_type == kind) & (events.timestamp <= until)].set_index("message_id")
    past = events[events.timestamp <= until]
    for message in list(moments.index[::25]):
        row, moment = whole.X.loc[message], moments.loc[message]
        own = past[(past.recipient_id == moment.recipient_id) & (past.timestamp < moment.timestamp)]
        tried, good = (own.event_type == "delivered").sum(), (own.event_type == "opened").sum()
        assert row.messages == tried and abs(row.open_rate - (good + 0.6) / (tried + 2)) < 1e-12
        opened = own[own.event_type == "opened"].timestamp
        hours = (moment.timestamp - opened.max()).total_seconds() / 3600 if len(opened) else 720
        assert abs(row.hours_since_open - min(hours, 720)) < 1e-6
        at = events[(events.event_type == "sent") & (events.message_id == message)].timestamp.iloc[0]
        sent = own[(own.event_type == "sent") & (own.timestamp < at)].timestamp
        assert row.sends_24h == (sent >= at - pandas.Timedelta(hours=24)).sum() and row.sends_7d == (sent >= at - pandas.Timedelta(days=7)).sum()
    assert len(moments) >= 100


def test_churn_features_know_nothing_of_later_days():
    run = pp.generate("churn", users=60, seed=2)
    data = pp.datasets.load_churn(run=run, as_of="2025-01-25")
    events = run.events.to_pandas()
    for user in data.X.index[::7]:
        known = events[(events.user_id == user) & (events.event_time < pandas.Timestamp("2025-01-26", tz="UTC"))]
        logins = known[known.event_type == "login"].event_time
        row = data.X.loc[user]
        assert row.logins == len(logins) and row.active_days == logins.dt.date.nunique()
        assert row.active_days_7 == logins[logins >= pandas.Timestamp("2025-01-19", tz="UTC")].dt.date.nunique()
        assert row.tickets == (known.event_type == "support_ticket").sum()
    assert "engagement_score" not in data.X and pp.datasets.load_churn(run=run, as_of="2025-01-25").y.equals(data.y)
    assert len(pp.datasets.load_churn(run=run, as_of="2025-03-01").X) < len(data.X) == 60


def test_a_split_shares_no_group(data):
    for bunch in data.values():
        train, test = pp.datasets.make_split(bunch, test_size=0.3, seed=4)
        assert not {*train.groups} & {*test.groups} and len(train.X) + len(test.X) == len(bunch.X)
        assert abs(test.groups.nunique() - 0.3 * bunch.groups.nunique()) <= 1 and train.run == bunch.run
        assert test.y.equals(bunch.y.loc[test.X.index])
    for wrong in (0, 1, 2, -0.5):
        with pytest.raises(pp.InputError, match="test_size"):
            pp.datasets.make_split(data["churn"], test_size=wrong)


@pytest.mark.parametrize("task", ["churn", "open", "click", "anomaly"])
def test_a_scorer_is_the_scorecard(data, task):
    """Predictions of a part, scored by the scorer and by `score`, give the same figures."""
    bunch = data[task]
    _, test = pp.datasets.make_split(bunch, seed=3)

    class Model:
        def predict_proba(self, X):
            best = bunch.p_observable.loc[X.index].to_numpy()
            drawn = numpy.random.default_rng(0).uniform(0.1, 0.9, len(X))
            p = 0.6 * best + 0.4 * drawn
            return numpy.stack([1 - p, p], axis=1)

    predictions = pandas.Series(Model().predict_proba(test.X)[:, 1], index=test.X.index)
    card = pp.score(task, bunch.run, predictions, subset=True)
    ceilings = ("observable", "latent") if bunch.p_latent is not None else ("observable",)
    for ceiling in ceilings:
        scorer = pp.scorer(task, bunch.run, ceiling=ceiling)
        assert abs(scorer(Model(), test.X, test.y) - card.gain(ceiling).value) < 1e-9
        assert pickle.loads(pickle.dumps(scorer))(Model(), test.X) == scorer(Model(), test.X)
    names = {"auc": "auc", "average_precision": "average_precision"} | ({} if task == "anomaly" else {"neg_log_loss": "log_loss", "neg_brier": "brier"})
    for metric, name in names.items():
        found = pp.scorer(task, bunch.run, metric=metric)(Model(), test.X)
        assert abs(abs(found) - card.metric(name)) < 1e-9 and (found < 0) == metric.startswith("neg")
    assert card.gain().standard_error > 0 or task == "anomaly"
    assert card.gain() == card.gain("observable")


def test_scorers_of_minutes_and_seconds_are_the_scorecard(data):
    class Model:
        def __init__(self, predicted):
            self.predicted = predicted

        def predict(self, X):
            return self.predicted.loc[X.index].to_numpy()

    bunch = data["send_time"]
    _, test = pp.datasets.make_split(bunch, seed=3)
    draws = numpy.random.default_rng(0)
    policy = pandas.Series(numpy.where(draws.random(len(bunch.y)) < 0.5, bunch.y, draws.integers(0, 10_080, len(bunch.y))), index=bunch.y.index)
    card = pp.score("send_time", bunch.run, policy.loc[test.X.index], subset=True)
    for ceiling in ("observable", "latent"):
        scorer = pp.scorer("send_time", bunch.run, ceiling=ceiling)
        assert abs(pickle.loads(pickle.dumps(scorer))(Model(policy), test.X, test.y) - card.gain(ceiling).value) < 1e-9
    for wrong in (policy + 0.5, policy - 10_080, policy + 10_080):
        with pytest.raises(pp.InputError, match="0 to 10079"):
            scorer(Model(wrong), test.X)
    truth = pp.labels("latency", bunch.run)
    some = truth.sample(frac=0.3, random_state=1)
    seconds = truth.observable_median * draws.uniform(0.8, 1.3, len(truth))
    card = pp.score("latency", bunch.run, seconds.loc[some.index], subset=True)
    assert abs(pp.scorer("latency", bunch.run)(Model(seconds), some) - card.gain().value) < 1e-9


def test_scorers_work_in_scikit_learn(data):
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    churn = data["churn"]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05))
    scorers = {"gain": pp.scorer("churn", churn.run), "auc": pp.scorer("churn", churn.run, metric="auc")}
    found = cross_validate(model, churn.X, churn.y, groups=churn.groups, cv=GroupKFold(3), scoring=scorers, n_jobs=2)
    assert found["test_auc"].mean() > 0.55 and numpy.isfinite(found["test_gain"]).all()
    alone = cross_validate(model, churn.X, churn.y, groups=churn.groups, cv=GroupKFold(3), scoring=scorers)
    assert numpy.allclose(found["test_gain"], alone["test_gain"])
    search = GridSearchCV(model, {"logisticregression__C": [1e-6, 0.05]}, scoring=scorers["gain"], n_jobs=2, cv=3, error_score="raise")
    search.fit(churn.X, churn.y)
    assert search.best_params_ == {"logisticregression__C": 0.05} and search.best_score_ > 0.1


def test_wrong_uses_of_a_scorer(data):
    churn = data["churn"]
    scorer = pp.scorer("churn", churn.run)
    with pytest.raises(TypeError, match="index is the user_id"):
        scorer(None, churn.X.to_numpy())
    with pytest.raises(pp.InputError, match="10001 in its index"):
        scorer(None, churn.X.rename(index={1: 10001}))
    for call, text in [
        (lambda: pp.scorer("churn", churn.run, metric="gains"), "did you mean 'gain'"),
        (lambda: pp.scorer("churn", churn.run, ceiling="observed"), "did you mean 'observable'"),
        (lambda: pp.scorer("anomaly", data["anomaly"].run, ceiling="latent"), "no latent ceiling"),
        (lambda: pp.scorer("transitions", data["anomaly"].run), "task"),
        (lambda: pp.scorer("send_time", data["send_time"].run, metric="auc"), "metric: send_time has no auc"),
        (lambda: pp.labels("transitions", data["anomaly"].run), "no labels by row"),
    ]:
        with pytest.raises(pp.InputError, match=text):
            call()


def test_who_opened_is_labelled_and_scored():
    """Where clients open ahead, labels are the recipient's own opens, and who opened is a task of its own."""
    run = pp.generate("email", users=70, seed=3, set={"machine_opens": {}})
    events = run["events"].to_pandas()
    opened = events[events.event_type == "opened"]
    is_machine = (opened.user_agent == "Mozilla/5.0").to_numpy()
    machine, click, human = (pp.labels(task, run) for task in ("machine_open", "click", "open"))
    assert machine.index.tolist() == opened.event_id.tolist() and click.index.tolist() == opened.message_id[~is_machine].tolist()
    agents = run["truth/events"].to_pandas().set_index("event_id").agent
    assert ((agents.loc[machine.index] == "apple_mpp").to_numpy() == machine.label.astype(bool).to_numpy()).all()
    messages = run["truth/messages"].to_pandas().set_index("message_id")
    assert (messages.human_opened_at.loc[human.index].notna().to_numpy() == human.label.astype(bool).to_numpy()).all()
    card = pp.score("machine_open", run, machine.p_observable)
    assert abs(card.gain().value - 1) < 1e-9 and pp.scorer("machine_open", run).task == "machine_open"


def test_labels_are_what_the_truth_says(data, tmp_path):
    for task in ("open", "click"):
        truth = pp.labels(task, data[task].run)
        events = data[task].run.events.to_pandas()
        found = set(events.message_id[events.event_type == ("opened" if task == "open" else "clicked")])
        assert (truth.label == truth.index.isin(found)).all()
        # Labels are drawn by p_latent: their sum lies within 5 standard deviations.
        assert abs((truth.label - truth.p_latent).sum()) < 5 * (truth.p_latent * (1 - truth.p_latent)).sum() ** 0.5
    churn = data["churn"].run
    opened = churn.write(tmp_path / "run")
    pandas.testing.assert_frame_equal(pp.labels("churn", opened), pp.labels("churn", opened.directory))
    pandas.testing.assert_frame_equal(pp.labels("churn", opened), pp.labels("churn", churn))
    send = pp.labels("send_time", data["send_time"].run)
    assert (send.oracle_value >= send.observable_value - 1e-12).all() and send.oracle_minute.between(0, 10_079).all()
    assert (pp.labels("latency", data["open"].run).label > 0).all()


def test_scores_take_what_models_give(data):
    churn, open_ = data["churn"], data["open"]
    by_frame = pp.score("open", open_.run, open_.p_observable.rename("score").reset_index())
    same = lambda card: {key: value for key, value in card.items() if key != "predictions"}
    for given in (open_.p_observable, open_.p_observable.rename("score").to_frame(), dict(open_.p_observable)):
        assert same(pp.score("open", open_.run, given)) == same(by_frame)
    assert abs(by_frame.gain().value - 1) < 1e-9
    # Survival curves as lifelines gives them: a column for each user, the index days.
    last = 119
    days = [0.0, 60.0, float(last)]
    wide = pandas.DataFrame({user: [1.0, 1 - p / 2, 1 - p] for user, p in churn.p_observable.items()}, index=days)
    # Nobody has churned by day 29, so that the curves before it say nothing.
    long = wide.iloc[1:].rename_axis(index="day", columns="user_id").unstack().rename("survival").reset_index().astype({"day": int})
    assert same(pp.score("churn", churn.run, wide)) == same(pp.score("churn", churn.run, long))
    dates = wide.set_axis(pandas.to_datetime("2025-01-01") + pandas.to_timedelta(days, unit="D"))
    assert same(pp.score("churn", churn.run, dates)) == same(pp.score("churn", churn.run, long))
    with pytest.raises(pp.InputError, match="whole days"):
        pp.score("churn", churn.run, wide.set_axis([0.5, 1.5, 2.5]))
    # Transitions: a long table, a dictionary of dictionaries and a matrix.
    run = data["anomaly"].run
    table = run.truth.transitions.to_pandas()
    table = table[["from", "to", "probability"]]
    nested = {start: dict(zip(rows.to, rows.probability)) for start, rows in table.groupby("from")}
    matrix = table.pivot(index="from", columns="to", values="probability").fillna(0.0)
    cards = [pp.score("transitions", run, given) for given in (table, nested, matrix, table.set_index(["from", "to"]).probability)]
    assert all(same(card) == same(cards[0]) for card in cards[1:]) and cards[0].metric("total_variation") < 1e-12


def test_the_estimator_of_lifelines_is_graded(data):
    lifelines = pytest.importorskip("lifelines")
    churn = data["churn"]
    users = churn.run.truth.users.to_pandas().set_index("user_id").loc[churn.X.index]
    start = pandas.Timestamp("2025-01-01")
    durations = (users.churn_date.fillna(start + pandas.Timedelta(days=120)) - start).dt.days
    frame = churn.X[["active_share", "is_paid"]].assign(T=durations, E=users.churned)
    model = lifelines.CoxPHFitter(penalizer=0.1).fit(frame, "T", "E")
    curves = model.predict_survival_function(churn.X[["active_share", "is_paid"]], times=range(120))
    assert pp.score("churn", churn.run, curves).metric("concordance") > 0.5


def test_cards_as_frames(data):
    card = pp.score("open", data["open"].run, data["open"].p_observable)
    frame = card.to_frame()
    assert frame.loc[("auc", "model"), "value"] == card.metric("auc") and frame.loc[("log_loss", "model"), "standard_error"] > 0
    groups = card.by_group()
    assert groups.index.name == "persona" and groups.n.sum() == card["n"] and "gain observable" in " ".join(groups.columns).replace("_", " ")
    with pytest.raises(KeyError, match="did you mean 'auc'"):
        card.metric("aucc")
    churn = pp.score("anomaly", data["anomaly"].run, data["anomaly"].p_observable)
    with pytest.raises(KeyError, match="latent"):
        churn.gain("latent")


def test_a_generated_run_is_written_once_for_all_scores(monkeypatch):
    import tempfile

    run = pp.generate("churn", users=50, seed=1)
    p = pandas.Series(0.3, index=range(1, 51))
    first = pp.score("churn", run, p)
    kept = run._files()
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert pp.score("churn", run, p) == first and run._files() == kept and pp.verify(run).ok
    del run
    import gc
    import os

    gc.collect()
    assert not os.path.exists(kept)
