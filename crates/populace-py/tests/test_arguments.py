"""What Python gives as arguments: days, arrays, names that are nearly right; and errors that speak of them."""

import copy
import datetime
import traceback

import pytest

import populace as pp

numpy = pytest.importorskip("numpy")
EAST = datetime.timezone(datetime.timedelta(hours=9))
DAYS = {
    "text": "2026-03-01",
    "date": datetime.date(2026, 3, 1),
    "datetime": datetime.datetime(2026, 3, 1),
    "zone": datetime.datetime(2026, 3, 1, tzinfo=EAST),
    "numpy": numpy.datetime64("2026-03-01"),
    "numpy in nanoseconds": numpy.datetime64("2026-03-01T00:00:00.000000000"),
}


@pytest.mark.parametrize("day", DAYS.values(), ids=DAYS)
def test_a_day_is_the_one_that_is_written(day):
    run = pp.generate("email", users=3, days=5, seed=1, start=day)
    assert run == pp.generate("email", users=3, days=5, seed=1, start="2026-03-01") != pp.generate("email", users=3, days=5, seed=1)
    assert run.scenario["window"]["start"] == "2026-03-01"


def test_days_of_pandas():
    pandas = pytest.importorskip("pandas")
    run = pp.generate("email", users=3, days=5, seed=1, start="2026-03-01")
    assert pp.generate("email", users=3, days=5, seed=1, start=pandas.Timestamp("2026-03-01", tz="Asia/Tokyo")) == run
    for missing in (pandas.NaT, numpy.datetime64("NaT")):
        with pytest.raises((pp.InputError, TypeError), match="^start: "):
            pp.generate("email", start=missing)


@pytest.mark.parametrize("day", [datetime.datetime(2026, 3, 1, 10), datetime.datetime(2026, 3, 1, 9, tzinfo=EAST), numpy.datetime64("2026-03-01T10:00")])
def test_a_time_of_day_is_not_dropped(day):
    with pytest.raises(pp.InputError, match="^start: must be a day.*time of day"):
        pp.generate("email", start=day)


def test_a_moment_has_its_time():
    run = pp.generate("email", users=3, days=40, seed=1)
    import tempfile

    for moment in ("2025-10-20T12:00:00Z", datetime.datetime(2025, 10, 20, 12), datetime.datetime(2025, 10, 20, 21, tzinfo=EAST), numpy.datetime64("2025-10-20T12:00")):
        with tempfile.TemporaryDirectory() as directory:
            report = pp.features(run, directory + "/features", as_of=moment)
            assert "2025-10-20T12:00" in str(report), (moment, report)


def test_so_many_rows_are_those_of_so_many_users():
    for scenario, rows in [("email", 20_000), ("churn", 50_000), ("traces", 10_000)]:
        run = pp.generate(scenario, events=rows, seed=1)
        main = run[run._native.main_table]
        # The sum over some hundred users lies within a few percent of its mean.
        assert abs(main.count() / rows - 1) < 0.15 and run.num_users > 40
    few = pp.generate("email", count=1_000, seed=1)
    assert few.events.count() == 1_000 and few.num_users < 10 and "events=1000" in few.warnings[-1]
    for other in (dict(users=5), dict(count=5)):
        with pytest.raises(pp.InputError, match=f"^events: cannot be used with {next(iter(other))}"):
            pp.generate("email", events=1_000, **other)


def test_arrays_in_a_scenario():
    scenario = pp.Scenario.load("churn")
    scenario["countries"] = numpy.array(["IN", "US"])
    scenario["paid_ratio"] = numpy.float32(0.25)
    assert pp.generate(scenario, seed=1) == pp.generate("churn", set={"countries": ["IN", "US"], "paid_ratio": 0.25}, seed=1)
    assert pp.generate("churn", set={"countries": numpy.array(["IN", "US"]), "paid_ratio": numpy.float64(0.25)}, seed=1) == pp.generate(scenario, seed=1)
    with pytest.raises(pp.InputError, match="finite"):
        pp.generate("churn", set={"engagement.alpha": numpy.array([numpy.nan])})


def test_copies_of_a_scenario_are_scenarios():
    scenario = pp.Scenario.load("email")
    for other in (scenario.copy(), scenario | {"seed": 5}, {"seed": 5} | scenario, copy.copy(scenario), copy.deepcopy(scenario)):
        assert type(other) is pp.Scenario and other["personas"] == scenario["personas"]
    assert (scenario | {"seed": 5})["seed"] == 5
    other = scenario.copy()
    other["personas"]["night_owl"]["open_rate"] = 0.5
    assert scenario["personas"]["night_owl"]["open_rate"] == 0.28


def test_exceptions_have_public_names():
    with pytest.raises(pp.InputError) as raised:
        pp.generate("emial")
    shown = "".join(traceback.format_exception_only(raised.type, raised.value))
    assert shown.startswith("populace.InputError: ") and "did you mean" in shown
    for name in pp.__all__:
        thing = getattr(pp, name)
        if isinstance(thing, type) and name != "Batch":
            assert thing.__module__ == "populace" and repr(thing) == f"<class 'populace.{name}'>"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda run, path: run.write(path), pp.InputError, "overwrite=True"),
        (lambda run, path: run.write(path, resume=True, overwrite=True), pp.InputError, "^resume=True cannot be used with overwrite=True"),
        (lambda run, path: run.write(path / "x", format="parqet"), pp.InputError, "^format: .*did you mean 'parquet'"),
        (lambda run, path: run.write(path / "x", order="tme"), pp.InputError, "^order: .*did you mean 'time'"),
        (lambda run, path: run.write(path / "x", compression="zst", format="parquet"), pp.InputError, "^compression: "),
        (lambda run, path: pp.score("churn", run, {"user_id": [1], "score": [0.5]}), pp.InputError, "subset=True"),
        (lambda run, path: pp.score("churn", run, {"user_id": [1], "score": [0.5]}, as_of="2031-01-01", subset=True), pp.InputError, "^as_of: "),
        (lambda run, path: pp.score("churn", run, {"user_id": [1], "score": [0.5]}, subst=True), TypeError, "did you mean 'subset'"),
        (lambda run, path: pp.generate("churn", usrs=5), TypeError, "usrs"),
        (lambda run, path: pp.stream("churn", usrs=5), TypeError, "did you mean 'users'"),
        (lambda run, path: pp.plan("email", "fatigue", usrs=5), TypeError, "did you mean 'users'"),
        (lambda run, path: pp.plan("email", "fatigue", at=1, size=2), pp.InputError, "^size cannot be used with at"),
        (lambda run, path: pp.generate("churn", tables="event"), pp.InputError, "event"),
        (lambda run, path: pp.verify(run, alpha=3), pp.InputError, "^alpha"),
        (lambda run, path: pp.recover(run, level=3), pp.InputError, "^level"),
        (lambda run, path: pp.replay("email", actor=-1, seed=1), pp.InputError, "^actor: "),
        (lambda run, path: pp.replay("email", actor=10**9, seed=1), pp.InputError, "^actor: "),
        (lambda run, path: pp.score("churn", pp.generate("churn", count=100), {"user_id": [1], "score": [0.5]}), pp.InputError, "users instead of count"),
        (lambda run, path: pp.verify(run, reading={"decmal": ","}), pp.InputError, "did you mean 'decimal'"),
    ],
)
def test_errors_name_the_argument(call, error, text, tmp_path):
    run = pp.generate("churn", users=5, seed=1)
    run.write(tmp_path)
    with pytest.raises(error, match=text) as raised:
        call(run, tmp_path)
    assert "--" not in str(raised.value)


def test_results_show_themselves(tmp_path):
    run = pp.generate("email", users=350, seed=1)
    shown = [pp.plan("email", "fatigue", users=100), pp.verify(run), pp.recover(run), run.truth, run, run.events, pp.report(run)]
    assert all("<table>" in thing._repr_html_() for thing in shown)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pp.generate("email", usrs=5), r"generate\(\) has no argument 'usrs'; did you mean 'users'\?"),
        (lambda: pp.datasets.load_churn(user=5), r"load_churn\(\) has no argument 'user'; did you mean 'users'\?"),
        (lambda: pp.verify("data", scenarios="x"), "did you mean 'scenario'"),
        (lambda: pp.report("data", others="x"), "did you mean 'other'"),
        (lambda: pp.scorer("open", "data", metrics="gain"), "did you mean 'metric'"),
        (lambda: pp.generate("email", zzz=5), r"has no argument 'zzz'$"),
    ],
)
def test_an_argument_that_there_is_not_is_named_with_the_one_that_is_near(call, words):
    with pytest.raises(TypeError, match=words):
        call()
