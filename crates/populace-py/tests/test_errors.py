"""Bad input gives an exception with the command line's text, never an abort."""

import datetime
import math

import pytest

import populace as pp
from populace.traces import APICall, Dataset, SequenceBuilder, Session, SyntheticGenerator, WorkflowDefinition


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (dict(users=0), pp.InputError),
        (dict(users=-1), pp.InputError),
        (dict(users=10**13), pp.InputError),
        (dict(users=10**30), pp.InputError),
        (dict(users=1.5), TypeError),
        (dict(users="10"), TypeError),
        (dict(users=True), TypeError),
        (dict(days=0), pp.InputError),
        (dict(days=10**9), pp.InputError),
        (dict(seed=-1), pp.InputError),
        (dict(seed=2**64), pp.InputError),
        (dict(seed="1"), TypeError),
        (dict(seed=None, random_state="x"), TypeError),
        (dict(random_state=2), pp.InputError),
        (dict(start="2025-02-30"), pp.InputError),
        (dict(start=5), TypeError),
        (dict(threads=0), pp.InputError),
        (dict(count=0), pp.InputError),
        (dict(profile="thick"), pp.InputError),
        (dict(profile=5), TypeError),
        (dict(tables=["event"]), pp.InputError),
        (dict(workflow="simple"), pp.InputError),
        (dict(paid_ratio=0.5), pp.InputError),
        (dict(set={"personas.night_owl.open_rat": 0.3}), pp.InputError),
        (dict(set={"personas.night_owl.open_rate": math.nan}), pp.InputError),
        (dict(set={"personas.night_owl.open_rate": math.inf}), pp.InputError),
        (dict(set={"personas.night_owl.open_rate": 2}), pp.InputError),
        (dict(set={"personas.night_owl.open_rate": object()}), TypeError),
        (dict(set=["x=1"]), TypeError),
        (dict(user=3), TypeError),
    ],
)
def test_wrong_options(options, error):
    with pytest.raises(error) as raised:
        pp.generate("email", **{"users": 5, "seed": 1, **options})
    assert str(raised.value)


def test_rates_that_are_none():
    for rate in (math.nan, math.inf, -0.1, 1.1, 1e308):
        with pytest.raises(pp.InputError, match="cascade.failure.rate"):
            pp.generate("traces", users=5, seed=1, cascade_failure_rate=rate)
    with pytest.raises(TypeError):
        pp.generate("traces", users=5, seed=1, cascade_failure_rate="half")


def test_the_text_is_that_of_the_command_line(command, tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("extends: email\npersonas:\n  night_owl:\n    open_rat: .3\n  day_owl:\n    open_rate: 7\n")
    told = command("check", path, check=False)
    assert told.returncode == 2
    with pytest.raises(pp.InputError) as raised:
        pp.generate(path, seed=1)
    assert told.stderr.strip() == f"error: {raised.value}"
    for arguments, options in [
        (["email", "--profile", "thick"], dict(profile="thick")),
        (["email", "--users", "0"], dict(users=0)),
        (["email", "--paid-ratio", "0.5"], dict(paid_ratio=0.5)),
        (["email", "--table", "event"], dict(tables=["event"])),
        (["nothing"], {}),
    ]:
        told = command("generate", *arguments, "--seed", 1, "-o", tmp_path / "never", check=False)
        with pytest.raises(pp.InputError) as raised:
            pp.generate(arguments[0], seed=1, **options)
        assert told.stderr.strip().replace("--", "").replace("paid-ratio", "paid_ratio") == f"error: {raised.value}"
    assert not (tmp_path / "never").exists()


def test_wrong_documents():
    with pytest.raises(TypeError):
        pp.generate(5)
    with pytest.raises(TypeError):
        pp.generate({5: 6})
    with pytest.raises(pp.InputError):
        pp.generate({})
    loop = {"extends": "email"}
    loop["loop"] = loop
    with pytest.raises(pp.InputError):
        pp.generate(loop)
    with pytest.raises(pp.InputError):
        pp.Scenario.from_yaml("a: [")
    with pytest.raises(pp.InputError, match="did you mean"):
        pp.Scenario.from_dict({"extends": "email", "populatio": {}})


def test_directories_that_hold_no_run(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(pp.InputError):
            pp.open(path)
    file = tmp_path / "file"
    file.write_text("x")
    run = pp.generate("email", users=3, days=5, seed=1)
    with pytest.raises(pp.InputError, match="is a file"):
        run.write(file)
    run.write(tmp_path / "run")
    with pytest.raises(pp.InputError, match="complete run"):
        run.write(tmp_path / "run")
    run.write(tmp_path / "run", overwrite=True)
    with pytest.raises(pp.InputError):
        run.write(tmp_path / "other", compression="gzip", format="parquet")
    with pytest.raises(pp.InputError):
        run.write(tmp_path / "other", format="xml")
    with pytest.raises(pp.InputError):
        run.write(tmp_path / "other", overwrite=True, resume=True)
    with pytest.raises(pp.InputError):
        run.write(tmp_path / "other", parts=0)
    opened = pp.open(tmp_path / "run")
    (tmp_path / "run" / "events.parquet").write_bytes(b"PAR1")
    with pytest.raises(pp.InputError, match="bytes instead of"):
        list(opened.events)


def test_a_file_of_the_right_size_and_the_wrong_content(tmp_path):
    run = pp.generate("churn", users=3, days=5, seed=1).write(tmp_path / "run", format="parquet")
    path = tmp_path / "run" / "events.parquet"
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(pp.PopulaceError):
        list(run.events)


def test_tables_that_are_not_there():
    run = pp.generate("email", users=3, seed=1)
    with pytest.raises(AttributeError, match="there are"):
        run.event
    with pytest.raises(KeyError):
        run["event"]
    with pytest.raises(pp.InputError):
        pp.stream("email", table="event", users=3, seed=1)
    with pytest.raises(pp.InputError):
        run.actors(2, 4)
    for actor in (3, 2**63):
        with pytest.raises(pp.InputError, match="must be from 0 to 2"):
            pp.replay("email", users=3, seed=1, actor=actor)
    with pytest.raises(pp.InputError, match="no seed of its own"):
        pp.replay("email", actor=0)


def test_wrong_calls_of_the_traces_interface():
    gen = SyntheticGenerator(seed=1)
    for options, error in [
        (dict(num_users=0), pp.InputError),
        (dict(num_users="5"), TypeError),
        (dict(sessions_per_user=3), TypeError),
        (dict(sessions_per_user=(math.nan, 1)), pp.InputError),
        (dict(sessions_per_user=(3.5, 0.1)), pp.InputError),
        (dict(cascade_failure_rate=2), pp.InputError),
        (dict(date_range_days=0), pp.InputError),
        (dict(workflow=WorkflowDefinition("x", {"/a": 1}, {}, {"/b"})), pp.InputError),
    ]:
        with pytest.raises(error):
            gen.generate_dataset(**{"num_users": 5, **options})
    with pytest.raises(TypeError):
        gen.generate_session(gen.ECOMMERCE_WORKFLOW, "u", "2026-01-01")
    with pytest.raises(TypeError):
        WorkflowDefinition("x", {}, {}, "/a")
    with pytest.raises(TypeError, match="session_id"):
        Session(None, "u", "free", datetime.datetime(2026, 1, 1))
    with pytest.raises(TypeError, match="must be of APICall"):
        Session("s", "u", "free", datetime.datetime(2026, 1, 1), calls=[1])
    with pytest.raises(TypeError, match="must be of Session"):
        Dataset("d", [1])
    with pytest.raises(TypeError, match="name: must be text"):
        Dataset([])
    dataset = gen.generate_dataset(num_users=5)
    with pytest.raises(IndexError):
        dataset.sessions[10**6]
    with pytest.raises(IndexError):
        dataset.sessions[0].calls[1000]
    with pytest.raises(pp.InputError):
        dataset.split(0.9, 0.9)
    with pytest.raises(pp.InputError):
        SequenceBuilder().build_ngrams(dataset, n=0)
    with pytest.raises(pp.InputError):
        Dataset.load_from_parquet("/nowhere.parquet")


def test_wrong_predictions(tmp_path):
    pa = pytest.importorskip("pyarrow")
    run = pp.generate("email", users=5, days=10, seed=1).write(tmp_path / "run")
    for predictions, error in [
        (5, TypeError),
        (tmp_path / "missing.csv", pp.InputError),
        ({"message_id": ["x"], "score": [0.5]}, pp.InputError),
        ({"wrong": [1]}, pp.InputError),
        ({"message_id": ["x", "y"], "score": [0.5]}, pp.InputError),
        (pa.table({"message_id": ["x"], "score": [math.nan]}), pp.InputError),
    ]:
        with pytest.raises(error):
            pp.score("open", run, predictions)
    with pytest.raises(pp.InputError, match="did you mean 'open'"):
        pp.score("opens", run, {"message_id": [], "score": []})
    with pytest.raises(pp.InputError):
        pp.verify(run, alpha=2)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: APICall("c", "/x", "GET", {}, "u", "s", datetime.datetime(2026, 1, 1), response_time_ms=1e300), pp.InputError, "response_time_ms"),
        (lambda: APICall("c", "/x", "GET", {}, "u", "s", datetime.datetime(2026, 1, 1), response_time_ms=math.nan), pp.InputError, "response_time_ms"),
        (lambda: APICall("c", "/x", "GET", {}, "u", "s", datetime.datetime(2026, 1, 1), status_code=10**20), pp.InputError, "status_code"),
        (lambda: APICall("c", "/x", "GET", {}, "u", "s", datetime.datetime(2026, 1, 1), response_size_bytes=-1), pp.InputError, "response_size_bytes"),
        (lambda: SequenceBuilder().get_transition_counts(["ab"]), TypeError, "lists of endpoints"),
        (lambda: SyntheticGenerator(1).generate_dataset(workflow="ecommerce"), TypeError, "WorkflowDefinition"),
        (lambda: SyntheticGenerator(1).inject_cascade(None), TypeError, "session"),
        (lambda: SyntheticGenerator.validate_workflow(WorkflowDefinition("x", {"/a": math.nan}, {}, {"/a"})), pp.InputError, "entry_points./a"),
        (lambda: pp.generate("churn", users=20, seed=1).part(1, 2, rows_before=2**64 - 1), pp.InputError, "rows_before"),
        (lambda: pp.replay(pp.generate("email", users=5, seed=7), seed=7, actor=1), pp.InputError, "already"),
    ],
)
def test_wrong_arguments_name_themselves(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_what_is_unsound_shows_itself_all_the_same():
    assert "2 of them exits" in repr(WorkflowDefinition("x", {"/a": 1}, {}, {"/a", 3}))
    assert "often" in WorkflowDefinition("x", {"/a": "often"}, {}, {"/a"})._repr_html_()
    scenario = pp.Scenario.load("email")
    scenario["bogus"] = 1
    assert "unknown key" in scenario._repr_html_()


def test_an_opened_run_is_replayed_and_stays_where_it_is(tmp_path, monkeypatch):
    run = pp.generate("email", users=5, seed=7)
    monkeypatch.chdir(tmp_path)
    run.to_parquet("data")
    opened = pp.open("data")
    monkeypatch.chdir("/")
    assert opened.events.count() == run.events.count()
    assert pp.replay(opened, actor=1).events.head(5) == pp.replay("email", users=5, seed=7, actor=1).events.head(5)


def test_errors_of_predictions_name_no_file_that_the_caller_has_not_written():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(pp.InputError, match="^predictions: has no column score"):
        pp.score("open", pp.generate("email", users=5, seed=7), pandas.DataFrame({"message_id": ["x"], "p": [0.1]}))


@pytest.mark.parametrize("value", ["5 --overwrite", "--no-latent x", " --map a --from b", "a --keep-latent"])
def test_options_in_what_a_user_wrote_stay_as_they_are(value, tmp_path):
    """Only the program's own hints speak Python."""
    held = tmp_path / value.strip()
    run = pp.generate("traces", users=3, days=5, seed=1)
    run.write(held)
    calls = [
        (lambda: pp.generate("email", set={"personas.night_owl.open_rate": value}), value.strip()),
        (lambda: pp.generate("email", profile=value), value.strip()),
        (lambda: pp.score("transitions", run, {"from": [value], "to": [value], "probability": [1.0]}), value.strip()),
        (lambda: pp.plan("email", value), value),
        (lambda: run.write(held), f"{held} holds a complete run"),
        (lambda: pp.recover(tmp_path, reading={"map": value}), f"map {value}: is neither"),
    ]
    for call, shown in calls:
        with pytest.raises(pp.InputError) as raised:
            call()
        assert shown in str(raised.value), str(raised.value)
    with pytest.raises(pp.InputError, match="; use overwrite=True to replace it, or another directory$"):
        run.write(held)


def test_the_command_in_this_process_speaks_of_its_own_options(command, tmp_path):
    from populace._command import run

    pp.generate("traces", users=3, days=5, seed=1).write(tmp_path / "run")
    assert run(["generate", "traces", "-o", str(tmp_path / "run"), "-q"]) == 2
    with pytest.raises(pp.InputError, match="overwrite=True"):
        pp.generate("traces", users=3, days=5, seed=1).write(tmp_path / "run")
    told = command("generate", "traces", "-o", tmp_path / "run", check=False)
    assert "use --overwrite to replace it" in told.stderr
