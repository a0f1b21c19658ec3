"""The steps of the project whose traces generator is replaced, as they stand around its classes: what they do with calls, sessions and data sets."""

import json
import pickle
import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta

import numpy
import pytest

from populace.traces.feature_engineer import FeatureEngineer
from populace.traces.models import APICall, Dataset, Session
from populace.traces.sequence_builder import SequenceBuilder
from populace.traces.synthetic_generator import SyntheticGenerator

START = datetime(2026, 1, 11, 10, 0, 0)


@pytest.fixture(scope="module")
def generated():
    return SyntheticGenerator(seed=42).generate_dataset(num_users=50, sessions_per_user=(3, 1), cascade_failure_rate=0.2, show_progress=False)


def logged(number, user="u1", minutes=0.0, endpoint="/api/home", timestamp="given"):
    """A call of a log, which knows no session yet."""
    at = START + timedelta(minutes=minutes) if timestamp == "given" else timestamp
    return APICall(str(number), endpoint, "GET", {}, user, "", at, 100, 200, 500, "free")


def extracted(calls, pause=timedelta(minutes=30), least=1):
    """Sessions of calls: the calls of a user, parted where nothing happens for a while."""
    known = defaultdict(list)
    for call in calls:
        if call.timestamp is not None:
            known[call.user_id].append(call)
    sessions = []
    for user, mine in known.items():
        mine.sort(key=lambda call: call.timestamp)
        parts = [[mine[0]]]
        for before, call in zip(mine, mine[1:]):
            if call.timestamp - before.timestamp > pause:
                parts.append([])
            parts[-1].append(call)
        for number, part in enumerate(part for part in parts if len(part) >= least):
            for call in part:
                call.session_id = f"{user}_session_{number}"
            sessions.append(Session(part[0].session_id, user, part[0].user_type, part[0].timestamp, part[-1].timestamp, part))
    return sessions


def problems(dataset):
    """What a validator of data looks for."""
    found, seen = [], set()
    for session in dataset.sessions:
        times = [call.timestamp for call in session.calls]
        found += ["order"] * (times != sorted(times)) + ["start"] * (session.start_timestamp > times[0]) + ["end"] * (session.end_timestamp < times[-1])
        found += ["user"] * ({call.user_id for call in session.calls} != {session.user_id})
        found += ["type"] * ({call.user_type for call in session.calls} != {session.user_type})
        for call in session.calls:
            found += ["twice"] * (call.call_id in seen) + ["session"] * (call.session_id != session.session_id)
            found += ["status"] * (not 100 <= call.status_code <= 599) + ["time"] * (call.response_time_ms < 0) + ["size"] * (call.response_size_bytes < 0)
            found += ["method"] * (not call.method) + ["path"] * (not call.endpoint.startswith("/"))
            seen.add(call.call_id)
    return Counter(found)


def test_sessions_are_extracted_from_logs():
    calls = [logged(0), logged(1, minutes=5), logged(2, minutes=90), logged(3, user="u2", minutes=1), logged(4, timestamp=None)]
    assert calls[-1].timestamp is None, "a log may lack a time"
    sessions = extracted(calls)
    assert [session.session_id for session in sessions] == ["u1_session_0", "u1_session_1", "u2_session_0"]
    assert [session.num_calls for session in sessions] == [2, 1, 1] and sessions[0].duration_seconds == 300
    assert all(call.session_id == session.session_id for session in sessions for call in session.calls)
    loaded = [APICall.from_dict(json.loads(json.dumps(call.to_dict()))) for call in calls[:4]]
    assert loaded == calls[:4]
    with pytest.raises(TypeError, match="timestamp"):
        Dataset("d", [Session("", "u1", "free", START, calls=[calls[-1]])]).save_to_parquet("never.parquet")


def test_generated_data_passes_validation(generated):
    assert not problems(generated)
    times = [call.response_time_ms for session in generated.sessions for call in session.calls]
    first, third = numpy.percentile(times, [25, 75])
    assert 0 < sum(time > third + 3 * (third - first) for time in times) < len(times) / 5
    assert 0 < sum(not call.is_successful() for session in generated.sessions for call in session.calls) < len(times) / 3


def test_data_is_split_as_the_project_splits_it(generated):
    sessions = sorted(generated.sessions, key=lambda session: session.start_timestamp)
    cut = int(0.8 * len(sessions))
    train, test = (Dataset(f"d_{name}", part, {**generated.metadata, "split_type": name}) for name, part in (("train", sessions[:cut]), ("test", sessions[cut:])))
    assert max(session.start_timestamp for session in train.sessions) <= min(session.start_timestamp for session in test.sessions)
    assert train.total_calls + test.total_calls == generated.total_calls and train.date_range[1] >= train.date_range[0]
    users = sorted({session.user_id for session in generated.sessions})
    random.Random(42).shuffle(users)
    chosen = set(users[: int(0.8 * len(users))])
    kept = [session for session in generated.sessions if session.user_id in chosen]
    assert Dataset("users", kept).num_unique_users == len(chosen) == 40
    shuffled = generated.sessions.copy()
    random.Random(42).shuffle(shuffled)
    size = len(shuffled) // 5
    tested = [session.session_id for fold in range(5) for session in shuffled[fold * size : (fold + 1) * size if fold < 4 else len(shuffled)]]
    assert sorted(tested) == sorted(session.session_id for session in generated.sessions)
    by_type = defaultdict(list)
    for session in generated.sessions:
        by_type[getattr(session, "user_type")].append(session)
    assert set(by_type) == {"premium", "free", "guest"}


def test_what_the_project_saves_is_saved(generated, tmp_path):
    train, test = generated.split(0.8)
    train.save_to_parquet(tmp_path / "train.parquet")
    assert Dataset.load_from_parquet(tmp_path / "train.parquet").sessions == train.sessions
    builder = SequenceBuilder(normalize_endpoints=True, min_sequence_length=2)
    sequences = builder.build_sequences(train.sessions)
    assert json.loads(json.dumps(sequences, indent=2)) == sequences == builder.build_sequences(train.sessions, include_metadata=True)
    engineer = FeatureEngineer().fit(train.sessions)
    copied = pickle.loads(pickle.dumps(engineer))
    session = test.sessions[0]
    for place, call in enumerate(session.calls):
        vector = engineer.transform(call, session, session.calls[:place])
        assert vector.shape == (engineer.get_feature_dim(),) and (vector == copied.transform(call, session, session.calls[:place])).all()
    assert engineer.transform(session.calls[0], None, None).shape == (engineer.get_feature_dim(),)
    learned = builder.get_transition_probabilities(train.sessions)
    assert all(abs(sum(row.values()) - 1) < 1e-9 for row in learned.values())
