"""The classes of the replaced traces generator: its names, orders, shapes, and what scripts do with them."""

import copy
import dataclasses
import json
import pickle
import random
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from populace import InputError
from populace.traces.feature_engineer import FeatureEngineer
from populace.traces.models import APICall, Dataset, Session
from populace.traces.sequence_builder import ContextualSequence, SequenceBuilder
from populace.traces.synthetic_generator import SyntheticGenerator, WorkflowDefinition, create_simple_workflow

START = datetime(2026, 1, 11, 9, 0, 0)  # a Sunday


def call(number, endpoint, session="s1", seconds=0.0, user="u1", user_type="premium", **values):
    return APICall(f"c{number}", endpoint, "GET", {}, user, session, START + timedelta(seconds=seconds), 80, 200, 512, user_type, **values)


def shopping():
    paths = ["/api/login", "/API/Users/100/profile/", "/api/products/search?q=laptop", "/api/products/501/details"]
    return Session("s1", "u1", "premium", START, START + timedelta(seconds=90), [call(n, path, seconds=n) for n, path in enumerate(paths)])


def quick():
    calls = [call(8, "/api/products/browse", "s2", 3600, "u2", "guest"), call(9, "/api/products/7/details", "s2", 3605, "u2", "guest")]
    return Session("s2", "u2", "guest", START + timedelta(hours=1), calls=calls)


def test_constructors_take_the_originals_names_and_order():
    given = APICall(
        call_id="1", endpoint="/api/users/123", method="GET", params={"include": "profile"}, user_id="u", session_id="s", timestamp=START,
        response_time_ms=100, status_code=200, response_size_bytes=1024, user_type="free",
    )  # fmt: skip
    assert given == APICall("1", "/api/users/123", "GET", {"include": "profile"}, "u", "s", START, 100, 200, 1024, "free")
    session = Session(session_id="s", user_id="u", user_type="free", start_timestamp=START, end_timestamp=None, calls=[given])
    assert Session("s", "u", "free", START, None, [given]) == session
    assert Dataset(name="d", sessions=[session], metadata={"a": 1}) == Dataset("d", [session], {"a": 1})
    assert SequenceBuilder(normalize_endpoints=True, min_sequence_length=2).min_sequence_length == 2
    generated = SyntheticGenerator(seed=42).generate_dataset(100, (3, 2), create_simple_workflow(), 7, datetime(2026, 5, 1), 0.5, False)
    assert generated.num_unique_users == 100 and generated.metadata["cascade_failure_rate"] == 0.5 and generated.workflow.name == "simple"
    assert datetime(2026, 5, 1) <= generated.date_range[0] < generated.date_range[1] < datetime(2026, 5, 9)
    assert dataclasses.replace(given, status_code=500).status_code == 500 and dataclasses.asdict(session)["calls"][0]["call_id"] == "1"


def test_calls():
    for path, service in (("/api/users/123", "users"), ("/API/products", "products"), ("/users/1/orders", "users"), ("/orders", "orders"), ("/api", "api")):
        assert call(1, path).get_service_name() == service
    for status, good in ((200, True), (299, True), (300, False), (404, False), (500, False), (None, False)):
        assert call(1, "/a").replace(status_code=status).is_successful() is good
    given = call(1, "/a")
    assert APICall.from_dict(json.loads(json.dumps(given.to_dict()))) == given
    assert list(given.to_dict()) == [
        "call_id", "endpoint", "method", "params", "user_id", "session_id", "timestamp", "response_time_ms", "status_code", "response_size_bytes",
        "user_type",
    ]  # fmt: skip
    retry = call(2, "/a", attempt=2, retry_of="c1")
    assert APICall.from_dict(json.loads(json.dumps(retry.to_dict()))) == retry
    given.response_time_ms *= 3
    assert given.response_time_ms == 240
    zoned = dataclasses.replace(given, timestamp=datetime(2026, 1, 11, 10, tzinfo=timezone(timedelta(hours=1))))
    assert zoned.timestamp == START
    assert APICall.from_dict({**given.to_dict(), "timestamp": "2026-01-11T09:00:00Z"}).timestamp == START


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"response_time_ms": -1}, "response_time_ms: must be from 0"), ({"response_time_ms": float("nan")}, "response_time_ms: must be a finite"),
        ({"response_size_bytes": -1}, "response_size_bytes: must be from 0"), ({"endpoint": "api/a"}, "endpoint: must start with /"),
        ({"attempt": 0}, "attempt: must be from 1"), ({"status_code": 1000}, "status_code: must be from 0"),
    ],
)  # fmt: skip
def test_calls_that_cannot_be_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        call(1, "/a").replace(**change)
    with pytest.raises(InputError, match="colour: unknown key"):
        APICall.from_dict({**call(1, "/a").to_dict(), "colour": "red"})
    with pytest.raises(InputError, match="`soon` is not a time"):
        APICall.from_dict({**call(1, "/a").to_dict(), "timestamp": "soon"})


def test_sessions():
    session = Session("s1", "u1", "premium", START)
    assert (session.num_calls, session.duration_seconds, session.get_endpoint_transitions()) == (0, 0.0, [])
    for number, path in enumerate(("/api/home", "/api/products", "/api/cart")):
        session.append_call(call(number, path, seconds=number))
    session.append_call(call(9, "/api/cart", seconds=2, attempt=2, retry_of="c2"))
    assert session.get_endpoint_transitions() == [("/api/home", "/api/products"), ("/api/products", "/api/cart")], "a retry is no step"
    assert session.end_timestamp == session.end_time == START + timedelta(seconds=2) and session.duration_seconds == 2.0
    assert session.num_calls == 4 and session.unique_endpoints == ["/api/cart", "/api/home", "/api/products"]
    assert Session.from_dict(json.loads(json.dumps(session.to_dict()))) == session
    with pytest.raises(ValueError, match="call c1 has session_id other, the session has s1"):
        session.append_call(call(1, "/a", "other"))
    with pytest.raises(ValueError, match="must not be before the start"):
        Session("s", "u", "free", START, START - timedelta(seconds=1))
    with pytest.raises(ValueError, match="the session has s1"):
        Session("s1", "u", "free", START, calls=[call(1, "/a", "other")])


def test_sessions_of_a_data_set_are_a_list_of_plain_objects():
    dataset = SyntheticGenerator(seed=42).generate_dataset(50)
    untouched = SyntheticGenerator(seed=42).generate_dataset(50)
    assert isinstance(dataset.sessions, list) and dataset.sessions.copy() == untouched.sessions
    assert len(dataset.sessions + untouched.sessions) == 2 * len(untouched)
    shuffled = dataset.sessions.copy()
    random.Random(1).shuffle(shuffled)
    assert shuffled != untouched.sessions and sorted(shuffled, key=lambda s: s.start_time) == sorted(untouched.sessions, key=lambda s: s.start_time)
    session = dataset.sessions[0]
    session.calls[0].status_code = 418
    session.append_call(session.calls[0].replace(call_id="late", endpoint="/late", timestamp=session.end_timestamp + timedelta(seconds=1)))
    assert dataset.sessions[0].calls[0].status_code == 418 and dataset.sessions[0].endpoint_sequence[-1] == "/late"
    assert dataset.total_calls == untouched.total_calls + 1 and "/late" in dataset.unique_endpoints, "what is counted follows"
    assert SequenceBuilder().get_transition_counts(dataset) != SequenceBuilder().get_transition_counts(untouched)
    del dataset.sessions[10:]
    assert len(dataset) == dataset.num_sessions == len(dataset.get_all_sequences()) == 10
    other = untouched.sessions[3]
    other.user_id = "somebody"
    assert "somebody" in untouched.unique_users and "somebody" in set(untouched.to_pandas()["user_id"])


def test_data_sets():
    dataset = Dataset("two", [shopping(), quick()], {"source": "test"})
    assert (dataset.total_calls, dataset.num_unique_users, len(dataset)) == (6, 2, 2)
    assert dataset.count_endpoint_occurrences() == {path: 1 for session in dataset for path in session.endpoint_sequence}
    assert dataset.date_range == (START, START + timedelta(hours=1)) and Dataset("none").date_range == (None, None)
    generated = SyntheticGenerator(seed=3).generate_dataset(40, cascade_failure_rate=0.5)
    counted = generated.count_endpoint_occurrences()
    assert sum(counted.values()) == generated.total_calls
    natively = (generated.total_calls, generated.unique_users, generated.unique_endpoints, generated.date_range, generated.get_all_sequences())
    assert [c for s in generated.sessions for c in s.calls]
    assert counted == generated.count_endpoint_occurrences()
    assert natively == (generated.total_calls, generated.unique_users, generated.unique_endpoints, generated.date_range, generated.get_all_sequences())


def test_splits_of_two_are_the_originals():
    dataset = Dataset("d", [Session(f"s{n}", f"u{n % 3}", "free", START, calls=[call(n, "/a", f"s{n}")]) for n in range(10)], {"version": "1"})
    for train, test in (dataset.split(0.8), dataset.split(train_ratio=0.8), dataset.split(), dataset.split(test=0.2), dataset.split(train=0.8)):
        assert (train.name, test.name) == ("d_train", "d_test")
        assert [s.session_id for s in train.sessions] == [f"s{n}" for n in range(8)] and test.sessions == dataset.sessions[8:]
        assert train.metadata == {"version": "1", "split_type": "train", "train_ratio": 0.8, "parent_dataset": "d"}
    for share in (0, 1, -0.5, 1.5):
        with pytest.raises(ValueError, match="train_ratio: must be between 0 and 1"):
            dataset.split(share)
    train, test = dataset.split(0.5, by="user")
    assert not train.unique_users & test.unique_users and len(train) + len(test) == 10
    assert SequenceBuilder().split_sequences(dataset.sessions, train_ratio=0.75) == (dataset.sessions[:7], dataset.sessions[7:])


def test_the_sequence_builder():
    builder, sessions = SequenceBuilder(min_sequence_length=3), [shopping(), quick()]
    login, profile, search, details = "/api/login", "/api/users/{id}/profile", "/api/products/search", "/api/products/{id}/details"
    browse = "/api/products/browse"
    assert builder.build_sequences(sessions) == [[login, profile, search, details]]
    assert builder.build_labeled_sequences(sessions) == [
        ([login], profile), ([login, profile], search), ([login, profile, search], details), ([browse], details),
    ]  # fmt: skip
    assert builder.build_labeled_sequences(sessions, context_length=1)[2] == ([search], details)
    assert builder.build_ngrams(sessions, n=3) == [(login, profile, search), (profile, search, details)]
    assert builder.get_ngrams(sessions)[-1] == (browse, details)
    assert builder.get_transition_counts(sessions) == {(login, profile): 1, (profile, search): 1, (search, details): 1, (browse, details): 1}
    assert builder.get_transition_probabilities(sessions)[browse] == {details: 1.0}
    assert builder.get_unique_endpoints(sessions) == sorted([login, profile, search, details, browse])
    assert builder.build_contextual_sequences(sessions) == [
        ContextualSequence([login, profile, search, details], "premium", "morning", "weekend", "medium")
    ]
    assert SequenceBuilder().build_contextual_sequences(Dataset("d", sessions))[1].session_length_category == "short"
    statistics = builder.get_sequence_statistics(sessions)
    assert {key: statistics[key] for key in list(statistics) if key in (
        "total_sequences", "total_calls", "avg_sequence_length", "min_sequence_length", "max_sequence_length", "unique_endpoints", "total_transitions"
    )} == {
        "total_sequences": 1, "total_calls": 4, "avg_sequence_length": 4.0, "min_sequence_length": 4, "max_sequence_length": 4,
        "unique_endpoints": 5, "total_transitions": 3,
    }  # fmt: skip
    assert builder.get_statistics([])["total_sequences"] == 0 and json.dumps(statistics)
    plain = SequenceBuilder(normalize_endpoints=False)
    assert plain.build_sequences(sessions)[0] == shopping().endpoint_sequence
    for path, endpoint in (
        ("/API/Users/123/Profile/", "/api/users/{id}/profile"), ("/search?q=shoes&category=fashion", "/search"),
        ("/users/abc123def456/settings", "/users/abc123def456/settings"),
        ("/api/items/550e8400-e29b-41d4-a716-446655440000/details", "/api/items/{id}/details"),
    ):  # fmt: skip
        assert builder.normalize_endpoint(path) == endpoint
    with pytest.raises(ValueError, match="n: must be from 2"):
        builder.build_ngrams(sessions, n=1)


def test_the_feature_engineer():
    numpy = pytest.importorskip("numpy")
    session, guest = shopping(), quick()
    engineer = FeatureEngineer()
    with pytest.raises(ValueError, match="call fit first"):
        engineer.transform(session.calls[0])
    vectors = engineer.fit_transform([session, guest])
    assert len(vectors) == 6 and {vector.shape for vector in vectors} == {(engineer.get_feature_dim(),)} and vectors[0].dtype == numpy.float32
    named = dict(zip(engineer.get_feature_names(), vectors[3].tolist()))
    assert named["category_products"] == named["user_premium"] == named["method_GET"] == named["is_weekend"] == 1.0
    assert named["category_login"] == named["user_guest"] == named["is_peak_hour"] == 0.0
    assert named["session_progress"] == 0.75 and named["session_duration_normalized"] == named["time_since_start_normalized"] == pytest.approx(3 / 1800)
    assert named["avg_response_time_normalized"] == pytest.approx(0.08) and named["num_previous_calls_normalized"] == pytest.approx(3 / 50)
    assert (named["hour_sin"], named["hour_cos"]) == pytest.approx(FeatureEngineer.cyclic_encode(9, 24))
    unknown = engineer.transform(call(1, "/api/unknown/9"), None, None)
    assert sum(value for name, value in zip(engineer.get_feature_names(), unknown.tolist()) if name.startswith("category_")) == 0
    assert engineer.get_feature_info()["categories"] == ["login", "products", "users"]
    alone = FeatureEngineer(user_features=False, request_features=False, history_features=False).fit([session])
    assert alone.get_feature_names() == ["hour_sin", "hour_cos", "day_sin", "day_cos", "is_weekend", "is_peak_hour"]
    assert FeatureEngineer().fit(SyntheticGenerator(seed=1).generate_dataset(5).sessions).get_feature_dim() > 20


def test_files_come_back_as_they_were(tmp_path):
    dataset = Dataset("kept", [shopping(), quick()], {"version": "1.0", "test": True})
    dataset.sessions[0].calls[0].params = {"q": "laptop", "page": 2}
    dataset.save_to_parquet(filepath=tmp_path / "kept.parquet")
    assert Dataset.load_from_parquet(filepath=tmp_path / "kept.parquet") == dataset
    generated = SyntheticGenerator(seed=1).generate_dataset(20, cascade_failure_rate=0.5)
    generated.save_to_parquet(tmp_path / "generated.parquet")
    loaded = Dataset.load_from_parquet(tmp_path / "generated.parquet")
    assert loaded == generated and loaded.name == "synthetic_ecommerce" and Dataset.load_from_parquet(tmp_path / "generated.parquet", "b").name == "b"
    with pytest.warns(UserWarning, match="1 sessions without calls are left out"):
        Dataset("d", [shopping(), Session("empty", "u", "free", START)]).save_to_parquet(tmp_path / "some.parquet")
    with pytest.raises(InputError, match="two sessions have the id s1"):
        Dataset("d", [shopping(), shopping()]).save_to_parquet(tmp_path / "twice.parquet")
    with pytest.raises(InputError, match="metadata: has no form in a file"):
        Dataset("d", [shopping()], {"when": START}).save_to_parquet(tmp_path / "odd.parquet")
    assert not (tmp_path / "twice.parquet").exists() and not (tmp_path / "odd.parquet").exists()


def test_files_of_other_programs(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    # As the replaced generator saves them: times as text, parameters as a structure of the keys of all rows, a session's times in each row.
    session = quick()
    session.end_timestamp = START + timedelta(hours=2)
    rows = [
        {**each.to_dict(), "session_user_type": "guest", "session_start": session.start_timestamp.isoformat(), "session_end": session.end_timestamp.isoformat()}
        for each in session.calls
    ]
    rows[0]["params"], rows[1]["params"] = {"q": "laptop"}, {"page": 2}
    session.calls[0].params, session.calls[1].params = {"q": "laptop"}, {"page": 2}
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"dataset_metadata": json.dumps({"dataset_name": "theirs", "metadata": {"a": 1}})})
    pq.write_table(table, tmp_path / "theirs.parquet")
    assert Dataset.load_from_parquet(tmp_path / "theirs.parquet") == Dataset("theirs", [session], {"a": 1})
    mapped = table.drop_columns(["params", "call_id"]).append_column("params", pa.array([[("q", "x")], []], pa.map_(pa.string(), pa.string())))
    pq.write_table(mapped, tmp_path / "map.parquet")
    loaded = Dataset.load_from_parquet(tmp_path / "map.parquet").sessions[0]
    assert [c.params for c in loaded.calls] == [{"q": "x"}, {}] and [c.call_id for c in loaded.calls] == ["s2-1", "s2-2"]
    frame = table.to_pandas().iloc[::-1].drop(columns=["session_start", "session_end"])
    frame.loc[len(frame)] = {**rows[0], "params": None, "user_id": "u3"}
    frame.to_parquet(tmp_path / "frame.parquet")
    loaded = Dataset.load_from_parquet(tmp_path / "frame.parquet")
    assert [s.user_id for s in loaded.sessions] == ["u2", "u3"], "an id that two users have names a session of each"
    assert [c.call_id for c in loaded.sessions[0].calls] == ["c8", "c9"] and loaded.sessions[1].calls[0].params == {}
    (tmp_path / "dirty.csv").write_text("session_id,user_id,endpoint,timestamp\ns,u,/a,2026-01-01T00:00:00Z\ns,u,/b\ns,u,/c,2026-01-01T00:00:09Z\n")
    with pytest.warns(UserWarning, match="1 row was left out"):
        assert Dataset.load_from_parquet(tmp_path / "dirty.csv").get_all_sequences() == [["/a", "/c"]]


def _calls_of(session):
    return [each.endpoint for each in session.calls]


def test_everything_is_copied_and_pickled():
    dataset = SyntheticGenerator(seed=5).generate_dataset(10)
    session = dataset.sessions[0]
    for thing in (session.calls[0], dataset.sessions[1], dataset, dataset.workflow, shopping(), Dataset("d", [quick()])):
        for again in (pickle.loads(pickle.dumps(thing)), copy.deepcopy(thing), copy.copy(thing)):
            assert again == thing
    untouched = SyntheticGenerator(seed=5).generate_dataset(10)
    assert pickle.loads(pickle.dumps(untouched)) == dataset
    separate = copy.deepcopy(dataset)
    separate.sessions[0].calls[0].status_code = 0
    assert dataset.sessions[0].calls[0].status_code != 0
    gen = SyntheticGenerator(seed=5)
    gen.inject_cascade(gen.generate_session(gen.ECOMMERCE_WORKFLOW, "u", START))
    again = pickle.loads(pickle.dumps(gen))
    one, other = (each.generate_session(each.ECOMMERCE_WORKFLOW, "u", START) for each in (gen, again))
    assert one == other and gen.inject_cascade(one) == again.inject_cascade(other), "a copy goes on where the generator was"
    builder, engineer = pickle.loads(pickle.dumps((SequenceBuilder(False, 2), FeatureEngineer().fit([session]))))
    assert not builder.normalize_endpoints and engineer.get_feature_dim() > 10
    with ProcessPoolExecutor(1) as pool:
        assert list(pool.map(_calls_of, dataset.sessions[:3])) == [_calls_of(each) for each in dataset.sessions[:3]]


def test_the_shop_can_be_changed_in_place():
    gen, before = SyntheticGenerator(seed=1), dict(SyntheticGenerator.ECOMMERCE_WORKFLOW.user_type_distribution)
    try:
        gen.ECOMMERCE_WORKFLOW.user_type_distribution = {"robot": 1.0}
        assert {session.user_type for session in gen.generate_dataset(10)} == {"robot"}
        gen.ECOMMERCE_WORKFLOW.user_type_distribution["robot"] = 0.5
        gen.ECOMMERCE_WORKFLOW.user_type_distribution["person"] = 0.5
        assert {session.user_type for session in gen.generate_dataset(50)} == {"robot", "person"}
    finally:
        gen.ECOMMERCE_WORKFLOW.user_type_distribution = before


def test_sums_of_a_workflow():
    for values in (
        {"entry_points": {"/a": 0.5}}, {"transitions": {"/a": {"/b": 0.5, "/a": 0.3}}}, {"user_type_distribution": {"free": 0.5, "paid": 0.6}},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"{next(iter(values))}.*: the probabilities must sum to 1, they sum to"):
            WorkflowDefinition(**{"name": "w", "entry_points": {"/a": 1.0}, "transitions": {"/a": {"/b": 1.0}}, "exit_points": {"/b"}, **values})
    thirds = WorkflowDefinition("thirds", {"/a": 1.0}, {"/a": {"/b": 0.333, "/c": 0.333, "/d": 0.333}}, {"/b", "/c", "/d"})
    with pytest.warns(UserWarning, match=r"thirds: transitions./a: the probabilities sum to 0.999; they are divided by their sum"):
        assert SyntheticGenerator.validate_workflow(thirds) == []
    exact = WorkflowDefinition("thirds", {"/a": 1.0}, {"/a": {"/b": 0.333 / 0.999, "/c": 0.333 / 0.999, "/d": 0.333 / 0.999}}, {"/b", "/c", "/d"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = SyntheticGenerator(seed=1).generate_dataset(20, workflow=exact)
    with pytest.warns(UserWarning):
        assert SyntheticGenerator(seed=1).generate_dataset(20, workflow=thirds).get_all_sequences() == expected.get_all_sequences()


def test_a_cascade_strikes_sessions_of_any_origin():
    session = shopping()
    for _ in range(20):
        struck = SyntheticGenerator(seed=random.randrange(1000)).inject_cascade(session)
        assert struck.endpoint_sequence == session.endpoint_sequence and struck.calls[0] == session.calls[0]
        assert session == shopping() and struck.session_id == "s1" and struck.end_timestamp >= session.end_timestamp
    gen, other = SyntheticGenerator(seed=1), SyntheticGenerator(seed=1)
    sessions = SyntheticGenerator(seed=2).generate_dataset(20).sessions
    whole = [gen.inject_cascade(session) for session in sessions]
    copies = [Session.from_dict(session.to_dict()) for session in sessions]
    for made, session in zip(copies, sessions):
        made._workflow = session._workflow
    assert [other.inject_cascade(session) for session in copies] == whole, "views and plain objects are struck alike"


@dataclasses.dataclass
class PlainCall:
    endpoint: str
    timestamp: datetime
    response_time_ms: float
    status_code: int


def _seconds(work, times=5):
    return min(_timed(work) for _ in range(times))


def _timed(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def test_a_struck_session_is_that_of_the_moment():
    workflow, asked = create_simple_workflow(), shopping()
    struck, again = SyntheticGenerator(seed=1).inject_cascade(asked), SyntheticGenerator(seed=1).inject_cascade(shopping())
    # What becomes of the session after that changes nothing, and what becomes of the struck one does not change the session.
    asked.calls[-1].status_code = 418
    asked.calls[0].params["late"] = True
    asked.append_call(call(9, "/late", seconds=99))
    assert struck == again and struck.end_timestamp == again.end_timestamp and struck.num_calls >= 4
    struck.calls[0].params["mine"] = 1
    assert "mine" not in asked.calls[0].params and all(each.params is not other.params for each, other in zip(struck.calls, asked.calls))
    assert pickle.loads(pickle.dumps(SyntheticGenerator(seed=1).inject_cascade(shopping()))) == again
    assert copy.deepcopy(SyntheticGenerator(seed=1).inject_cascade(shopping())) == again
    other = SyntheticGenerator(seed=1).inject_cascade(shopping())
    other.end_timestamp = START + timedelta(hours=2)
    assert other.calls == again.calls and other.end_timestamp == START + timedelta(hours=2)
    assert Dataset("d", [SyntheticGenerator(seed=1).inject_cascade(shopping())]).total_calls == again.num_calls
    assert SyntheticGenerator(seed=1).inject_cascade(Session("s", "u", "free", START)).calls == []
    late = shopping()
    late.calls[1].timestamp = None
    with pytest.raises(InputError, match="call c1 has no timestamp"):
        SyntheticGenerator(seed=1).inject_cascade(late).calls
    assert workflow.avg_response_times == create_simple_workflow().avg_response_times


def test_attributes_are_as_fast_as_those_of_plain_objects():
    calls = [each for session in SyntheticGenerator(seed=1).generate_dataset(2_000).sessions for each in session.calls]
    plain = [PlainCall(each.endpoint, each.timestamp, each.response_time_ms, each.status_code) for each in calls]

    def read(them):
        for each in them:
            each.endpoint, each.timestamp, each.response_time_ms, each.status_code

    assert _seconds(lambda: read(calls)) < 2.5 * _seconds(lambda: read(plain))


def struck_in_place(session, draws):
    """What plain objects cost that are changed where they are, and copied for a retry."""
    calls = []
    for number, each in enumerate(session.calls):
        calls.append(each)
        if number >= len(session.calls) // 2:
            if draws.random() < 0.6:
                each.response_time_ms *= draws.uniform(3, 10)
            if draws.random() < 0.2:
                each.status_code, each.response_time_ms = 504, 30_000.0
            if draws.random() < 0.15:
                each.status_code = 503
            if draws.random() < 0.3:
                again = {"call_id": f"{each.call_id}_retry", "timestamp": each.timestamp + timedelta(milliseconds=100)}
                calls.append(dataclasses.replace(each, **again))
    return dataclasses.replace(session, calls=calls)


@dataclasses.dataclass
class PlainSession:
    session_id: str
    calls: list


def test_a_cascade_costs_no_more_than_in_plain_objects():
    gen, draws = SyntheticGenerator(seed=1), random.Random(1)
    names = [each.name for each in dataclasses.fields(APICall)][:11]
    plain_call = dataclasses.make_dataclass("Call", names)

    def plain_of(sessions):
        return [PlainSession(each.session_id, [plain_call(*(getattr(call, name) for name in names)) for call in each.calls]) for each in sessions]

    def seconds(strike, made):
        return min(_timed(lambda sessions=sessions: [strike(each) for each in sessions]) for sessions in [made() for _ in range(5)])

    views = seconds(gen.inject_cascade, lambda: SyntheticGenerator(seed=1).generate_dataset(500).sessions)
    asked = SyntheticGenerator(seed=1).generate_dataset(500).sessions
    plain = seconds(lambda each: struck_in_place(each, draws), lambda: plain_of(asked))
    assert views < plain
    # Of sessions whose calls have been asked for the values are kept, and become calls when these are asked for: the session stays as it is.
    assert seconds(gen.inject_cascade, lambda: asked) < 1.5 * plain
    assert seconds(lambda each: gen.inject_cascade(each).calls, lambda: asked) < 6 * plain
