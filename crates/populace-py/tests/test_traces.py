"""The interface of the traces generator: each example of its guide, and what it promises."""

import math
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import digests

import populace as pp
from populace.traces import (
    Dataset,
    SequenceBuilder,
    SyntheticGenerator,
    WorkflowDefinition,
    create_microservices_workflow,
    create_simple_workflow,
)

START = datetime(2026, 2, 3, 4, 5, 6)


def first_example():
    return WorkflowDefinition(
        name="ecommerce",
        entry_points={"/api/login": 0.6, "/api/browse": 0.4},
        transitions={"/api/login": {"/api/profile": 0.8, "/api/browse": 0.2}, "/api/profile": {"/api/browse": 0.7, "/api/logout": 0.3}},
        exit_points={"/api/logout"},
        avg_response_times={"/api/login": 120, "/api/profile": 80, "/api/browse": 200},
    )


def gateway():
    return WorkflowDefinition(
        name="api_gateway",
        entry_points={"/health": 0.10, "/api/v1/login": 0.90},
        transitions={
            "/health": {"/metrics": 1.0},
            "/api/v1/login": {"/api/v1/users/me": 0.8, "/api/v1/logout": 0.2},
            "/api/v1/users/me": {"/api/v1/resources": 0.6, "/api/v1/logout": 0.4},
            "/api/v1/resources": {"/api/v1/resources/{id}": 0.9, "/api/v1/logout": 0.1},
            "/api/v1/resources/{id}": {"/api/v1/resources": 0.5, "/api/v1/logout": 0.5},
            "/metrics": {"/health": 1.0},
        },
        exit_points={"/api/v1/logout", "/metrics"},
    )


def test_the_guides_first_workflow_has_one_dead_end():
    errors = SyntheticGenerator.validate_workflow(first_example())
    assert len(errors) == 1 and "/api/browse" in errors[0]


def test_core_concepts():
    gen = SyntheticGenerator(seed=42)
    session = gen.generate_session(workflow=gateway(), user_id="user_123", start_time=datetime.now())
    assert session.user_id == "user_123" and session.endpoint_sequence[0] in ("/health", "/api/v1/login")
    dataset = gen.generate_dataset(num_users=100, sessions_per_user=(3, 2), date_range_days=30)
    assert dataset.num_unique_users == 100


def test_example_1_training_data(tmp_path, capsys):
    gen = SyntheticGenerator(seed=42)
    dataset = gen.generate_dataset(num_users=500, sessions_per_user=(4, 2), date_range_days=30, show_progress=True)
    assert f"Generated {dataset.total_calls} API calls" == f"Generated {sum(len(s.calls) for s in dataset.sessions)} API calls"
    assert dataset.num_unique_users == 500
    assert "Generating users" in capsys.readouterr().err
    path = tmp_path / "data/synthetic/train.parquet"
    dataset.save_to_parquet(str(path))
    loaded = Dataset.load_from_parquet(path)
    assert loaded.get_all_sequences() == dataset.get_all_sequences()
    assert [call.to_dict() for s in loaded.sessions[:20] for call in s.calls] == [c.to_dict() for s in dataset.sessions[:20] for c in s.calls]


def test_example_2_markov_chain():
    gen = SyntheticGenerator(seed=42)
    workflow = gen.ECOMMERCE_WORKFLOW
    dataset = gen.generate_dataset(num_users=200)
    learned_probs = SequenceBuilder().get_transition_probabilities(dataset.sessions)
    true_prob = workflow.transitions["/api/login"]["/api/users/{id}/profile"]
    learned_prob = learned_probs.get("/api/login", {}).get("/api/users/{id}/profile", 0)
    n = sum(count for (origin, _), count in SequenceBuilder().get_transition_counts(dataset.sessions).items() if origin == "/api/login")
    assert abs(true_prob - learned_prob) < 4.5 * math.sqrt(true_prob * (1 - true_prob) / n)


def test_example_3_cascades():
    gen = SyntheticGenerator(seed=42)
    dataset = gen.generate_dataset(num_users=100, cascade_failure_rate=0.20, show_progress=True)
    failed_sessions = [s for s in dataset.sessions if any(c.status_code != 200 for c in s.calls)]
    assert 0 < len(failed_sessions) < len(dataset.sessions)
    assert any(c.status_code == 504 and c.response_time_ms == 30_000 for s in failed_sessions for c in s.calls)


def test_example_4_custom_workflow():
    my_workflow = gateway()
    assert SyntheticGenerator.validate_workflow(my_workflow) == []
    assert len(SyntheticGenerator.workflow_warnings(my_workflow)) == 1
    dataset = SyntheticGenerator(seed=42).generate_dataset(num_users=50, workflow=my_workflow)
    assert dataset.unique_endpoints <= set(my_workflow.endpoints)


def test_example_5_save_and_load_workflows(tmp_path, command):
    gen = SyntheticGenerator(seed=42)
    workflow = gen.ECOMMERCE_WORKFLOW
    workflow.to_yaml(tmp_path / "workflows/ecommerce.yaml")
    loaded = WorkflowDefinition.from_yaml(tmp_path / "workflows/ecommerce.yaml")
    assert loaded == workflow
    assert gen.generate_dataset(num_users=100, workflow=loaded).num_unique_users == 100
    command("check", tmp_path / "workflows/ecommerce.yaml")


def test_feature_1_reproducible():
    workflow, now = create_simple_workflow(), datetime.now()
    one = SyntheticGenerator(seed=42).generate_session(workflow, "user1", now)
    other = SyntheticGenerator(seed=42).generate_session(workflow, "user1", now)
    assert one.endpoint_sequence == other.endpoint_sequence and one == other
    gen = SyntheticGenerator(seed=42)
    sequences = [tuple(gen.generate_session(gen.ECOMMERCE_WORKFLOW, "user1", now).endpoint_sequence) for _ in range(20)]
    assert len(set(sequences)) > 10, "each session is another"


def test_feature_2_timestamps():
    gen = SyntheticGenerator(seed=1)
    session = gen.generate_session(gen.ECOMMERCE_WORKFLOW, "u", START)
    assert session.start_time == START == session.calls[0].timestamp and session.start_time.tzinfo is None
    sessions = gen.generate_dataset(num_users=200).sessions
    delays = [(b.timestamp - a.timestamp).total_seconds() for s in sessions for a, b in zip(s.calls, s.calls[1:])]
    assert all(1 <= delay <= 5 or 10 <= delay <= 30 for delay in delays)


def test_feature_3_user_types():
    workflow = create_simple_workflow()
    workflow.user_type_distribution = {"premium": 0.3, "free": 0.5, "guest": 0.2}
    sessions = SyntheticGenerator(seed=42).generate_dataset(num_users=2_000, workflow=workflow).sessions
    types = {session.user_id: session.user_type for session in sessions}
    share = sum(kind == "premium" for kind in types.values()) / len(types)
    assert abs(share - 0.3) < 4.5 * math.sqrt(0.3 * 0.7 / len(types))


def test_features_4_to_7_calls():
    dataset = SyntheticGenerator(seed=42).generate_dataset(num_users=300)
    calls = [call for session in dataset.sessions for call in session.calls]
    mean = lambda path: sum(c.response_time_ms for c in calls if c.endpoint == path) / sum(c.endpoint == path for c in calls)
    assert mean("/api/payment") > mean("/api/login") > mean("/api/logout")
    assert {c.endpoint: c.method for c in calls}["/api/login"] == "POST"
    assert {c.endpoint: c.method for c in calls}["/api/users/{id}/settings"] == "PUT"
    assert {c.status_code for c in calls} == {200, 400, 500}
    for call in calls:
        keys = {"search": {"q", "sort"}, "browse": {"category", "page"}}.get(call.endpoint.rsplit("/", 1)[1], set())
        assert set(call.params) == keys and all(isinstance(value, str) for value in call.params.values())


def test_cascade_injection():
    gen = SyntheticGenerator(seed=42)
    tally = dict.fromkeys(("slow", "timeout", "unavailable", "unaffected"), 0)
    retried = faults = 0
    for number in range(400):
        session = gen.generate_session(gen.ECOMMERCE_WORKFLOW, "user1", START)
        before = [call.to_dict() for call in session.calls]
        failed_session = gen.inject_cascade(session)
        assert [call.to_dict() for call in session.calls] == before, "the session itself stays as it is"
        assert failed_session.endpoint_sequence == session.endpoint_sequence, "retries are no steps"
        calls = [call for call in failed_session.calls if call.attempt == 1]
        retries = [call for call in failed_session.calls if call.attempt == 2]
        half = len(calls) // 2
        assert [call.to_dict() for call in calls[:half]] == before[:half]
        for old, new in zip(session.calls[half:], calls[half:]):
            factor = new.response_time_ms / old.response_time_ms
            if new.response_time_ms == 30_000 and new.status_code == 504:
                kind = "timeout"
            elif factor > 2:
                assert 3 - 1e-3 <= factor <= 10 and new.status_code == old.status_code
                kind = "slow"
            else:
                kind = "unavailable" if new.status_code == 503 else "unaffected"
            tally[kind] += 1
        faulted = {call.call_id for call in calls[half:]}
        assert {call.retry_of for call in retries} <= faulted and len({call.retry_of for call in retries}) == len(retries)
        retried += len(retries)
        ends = [call.timestamp + timedelta(milliseconds=call.response_time_ms) for call in failed_session.calls]
        started = [call.timestamp for call in failed_session.calls]
        assert all(later >= end - timedelta(microseconds=1) for end, later in zip(ends[half:], started[half + 1 :])), "no call overlaps the next"
    total = sum(tally.values())
    for kind, share in (("slow", 0.60), ("timeout", 0.20), ("unavailable", 0.15), ("unaffected", 0.05)):
        assert abs(tally[kind] / total - share) < 4.5 * math.sqrt(share * (1 - share) / total), kind
    faults = total - tally["unaffected"]
    assert abs(retried / faults - 0.3) < 4.5 * math.sqrt(0.3 * 0.7 / faults)


def test_ground_truth_validation():
    gen = SyntheticGenerator(seed=42)
    workflow = gen.ECOMMERCE_WORKFLOW
    dataset = gen.generate_dataset(num_users=1000)
    builder = SequenceBuilder()
    learned_probs, counts = builder.get_transition_probabilities(dataset.sessions), builder.get_transition_counts(dataset.sessions)
    errors = []
    for from_ep, transitions in workflow.transitions.items():
        for to_ep, true_prob in transitions.items():
            learned_prob = learned_probs.get(from_ep, {}).get(to_ep, 0)
            n = sum(count for (origin, _), count in counts.items() if origin == from_ep)
            if abs(true_prob - learned_prob) > 5 * math.sqrt(true_prob * (1 - true_prob) / n):
                errors.append((from_ep, to_ep))
    assert errors == []


def test_best_practices_and_patterns(tmp_path):
    gen = SyntheticGenerator(seed=42)
    workflow = create_microservices_workflow()
    errors = SyntheticGenerator.validate_workflow(workflow)
    assert not errors, f"Workflow invalid: {errors}"
    assert gen.generate_dataset(num_users=10, show_progress=False).num_unique_users == 10
    workflow.to_yaml(Path(tmp_path / f"workflows/{workflow.name}_v1.yaml"))
    parts = [SyntheticGenerator(seed=seed).generate_dataset(num_users=50) for seed in (42, 123, 456)]
    assert len({tuple(map(tuple, part.get_all_sequences())) for part in parts}) == 3
    data_a = gen.generate_dataset(num_users=50, workflow=workflow)
    data_b = gen.generate_dataset(num_users=50, workflow=create_simple_workflow())
    assert data_a.unique_endpoints.isdisjoint(data_b.unique_endpoints)
    month = gen.generate_dataset(num_users=100, date_range_days=30, start_date=datetime(2026, 1, 1))
    first, last = month.date_range
    assert datetime(2026, 1, 1) <= first < last < datetime(2026, 2, 1)
    normal = gen.generate_dataset(num_users=80, cascade_failure_rate=0.0)
    failures = gen.generate_dataset(num_users=20, cascade_failure_rate=1.0)
    rate = lambda dataset: sum(s.has_errors for s in dataset.sessions) / len(dataset.sessions)
    assert rate(failures) > rate(normal)
    mixed = Dataset("mixed", normal.sessions + failures.sessions)
    mixed.save_to_parquet(tmp_path / "mixed.parquet")  # ids of different data sets differ
    assert Dataset.load_from_parquet(tmp_path / "mixed.parquet") == mixed


def test_the_first_data_set_is_that_of_the_command(command, tmp_path):
    pa = pytest.importorskip("pyarrow")
    command("generate", "traces", "--users", 40, "--seed", 42, "-q", "-o", tmp_path / "run")
    dataset = SyntheticGenerator(seed=42).generate_dataset(num_users=40)
    assert pa.table(dataset.run.calls).to_pylist() == pa.table(pp.open(tmp_path / "run").calls).to_pylist()
    assert Dataset.load_from_parquet(tmp_path / "run" / "calls.parquet").get_all_sequences() == dataset.get_all_sequences()


def test_splits_share_no_user():
    dataset = SyntheticGenerator(seed=42).generate_dataset(num_users=400)
    for by in ("user", "session", "time"):
        parts = dataset.split(0.7, 0.15, by=by)
        assert sum(len(part) for part in parts) == len(dataset)
        assert abs(len(parts[0]) / len(dataset) - 0.7) < 0.1
    users = [part.unique_users for part in dataset.split(0.7, 0.15)]
    assert not (users[0] & users[1] or users[0] & users[2] or users[1] & users[2])
    larger = SyntheticGenerator(seed=42).generate_dataset(num_users=800).split(0.7, 0.15)
    assert users[0] <= larger[0].unique_users, "a user stays where it is when more come"
    before, _, after = dataset.split(0.7, 0.15, by="time")
    assert before.sessions[-1].start_time and max(s.start_time for s in before) <= min(s.start_time for s in after)


def test_sequences_are_counted_as_by_hand():
    dataset = SyntheticGenerator(seed=7).generate_dataset(num_users=50, cascade_failure_rate=0.5)
    builder, sequences = SequenceBuilder(), dataset.get_all_sequences()
    assert sequences == [[call.endpoint for call in s.calls if call.attempt == 1] for s in dataset.sessions]
    counts = Counter(pair for sequence in sequences for pair in zip(sequence, sequence[1:]))
    left = Counter(pair[0] for sequence in sequences for pair in zip(sequence, sequence[1:]))
    grams = [gram for sequence in sequences for gram in zip(sequence, sequence[1:], sequence[2:])]
    for given in (dataset, dataset.sessions, list(dataset.sessions), sequences):
        assert builder.get_transition_counts(given) == counts
        assert builder.build_ngrams(given, n=3) == grams
    probabilities = builder.get_transition_probabilities(dataset)
    assert {(a, b): share for a, row in probabilities.items() for b, share in row.items()} == {pair: n / left[pair[0]] for pair, n in counts.items()}
    for row in builder.get_transition_probabilities(dataset, smoothing=0.5).values():
        assert abs(sum(row.values()) - 1) < 1e-12
    pairs = builder.build_labeled_sequences(sequences, context_length=3)
    assert pairs == [(s[max(0, i - 3) : i], s[i]) for s in sequences for i in range(1, len(s))]
    assert builder.build_sequences(dataset, min_length=5) == [s for s in sequences if len(s) >= 5]
    statistics = builder.get_statistics(dataset)
    assert statistics["total_sequences"] == len(sequences) and statistics["total_calls"] == sum(map(len, sequences))
    assert statistics["max_sequence_length"] == max(map(len, sequences)) and statistics["unique_transitions"] == len(counts)
    assert statistics["total_transitions"] == sum(counts.values())


def test_views_are_light():
    dataset = SyntheticGenerator(seed=1).generate_dataset(num_users=20_000)
    assert dataset.total_calls > 400_000
    assert len(dataset.sessions) == dataset.num_sessions and dataset.sessions[-1].num_calls == len(dataset.sessions[-1].calls)


def test_notebooks_show_workflows_and_data_sets():
    assert "0.700" in create_simple_workflow()._repr_html_()
    assert "/api/login" in SyntheticGenerator(seed=1).generate_dataset(num_users=5)._repr_html_()
