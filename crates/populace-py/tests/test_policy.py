"""Policies of sending from Python: what the commands do, with the same results, and Open Bandit Pipeline on the same log."""

import copy
import csv
import importlib
import importlib.metadata
import json
import multiprocessing
import pickle
import sys
import types
from pathlib import Path

import pytest

import populace as pp
from conftest import digests

LATER = "2025-11-20"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return pp.generate("email", users=350, days=60, seed=11, policy="explore").write(tmp_path_factory.mktemp("policy") / "log")


@pytest.fixture(scope="module")
def learned(log):
    return pp.policy.learn(log, "best_hour", train_until=LATER)


def told(command, *arguments):
    return json.loads(command("policy", *arguments, "--json", "--no-progress").stdout)


def test_learn_as_the_command(log, learned, command, tmp_path):
    assert learned["messages"] > 5_000 and len(learned["slots"]) == 350
    learned.to_csv(tmp_path / "best.csv")
    command("policy", "learn", "best_hour", log.directory, "--train-until", LATER, "-o", tmp_path / "told.csv", "--no-progress")
    assert (tmp_path / "best.csv").read_bytes() == (tmp_path / "told.csv").read_bytes()
    assert pp.policy.learn(log, "most_opens", train_until=LATER) != learned
    frame = learned.to_frame()
    assert frame.index.name == "recipient_id" and list(frame) == ["slot"] and frame.slot.between(0, 23).all()
    assert "<table>" in learned._repr_html_() and "350 recipients" in repr(learned)
    with pytest.raises(pp.InputError, match="best_hour, most_opens, got 'best_hours'; did you mean 'best_hour'"):
        pp.policy.learn(log, "best_hours")
    with pytest.raises(pp.InputError, match="no message was sent before"):
        pp.policy.learn(log, train_until="2020-01-01")


def test_replay_as_the_command(log, learned, command, tmp_path):
    learned.to_csv(tmp_path / "best.csv")
    for policy in ("oracle", tmp_path / "best.csv"):
        command("policy", "replay", log.directory, "--policy", policy, "-o", tmp_path / "told", "--overwrite", "--quiet")
        replayed = pp.policy.replay(log, policy=policy)
        assert replayed.seed == log.seed and replayed.num_users == log.num_users
        assert digests(replayed.write(tmp_path / "made", overwrite=True).directory) == digests(tmp_path / "told")
    assert pp.policy.replay(log.directory, policy=tmp_path / "best.csv") == pp.policy.replay(log, policy=tmp_path / "best.csv")
    assert pp.policy.replay(log, policy="oracle", days=70).decisions.count() > log.decisions.count()
    document = {"base": {"type": "fixed", "slot": 9}}
    hours = {time.hour for time in pp.policy.replay(log, policy=document).decisions.select("action").to_pandas().action.dropna().map(lambda slot: __import__("datetime").time(int(slot)))}
    assert hours == {9}


def test_a_table_in_memory_is_a_policy_and_goes_to_other_processes(log, learned, tmp_path):
    learned.to_csv(tmp_path / "best.csv")
    from_file = pp.policy.replay(log, policy=tmp_path / "best.csv").decisions.to_arrow()
    replayed = pp.policy.replay(log, policy=learned)
    frame = learned.to_frame().reset_index()
    assert pp.policy.replay(log, policy=frame) == replayed == pickle.loads(pickle.dumps(replayed)) == copy.deepcopy(replayed)
    assert replayed.decisions.to_arrow().equals(from_file)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_opens, [replayed, replayed.part(0, 2)]) == [_opens(replayed), _opens(replayed.part(0, 2))]
    with pytest.raises(pp.InputError, match="^policy: its slots are in memory.*to_csv"):
        replayed.write(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert replayed.verify().ok
    with pytest.raises(pp.InputError, match="policy: has no column slot; there are recipient_id, slots; did you mean 'slots'"):
        pp.policy.replay(log, policy=frame.rename(columns={"slot": "slots"}))
    assert pp.policy.replay(log, policy=frame.assign(slot=9.0)) == pp.policy.replay(log, policy=frame.assign(slot=9))
    with pytest.raises(pp.InputError, match="is not a slot"):
        pp.policy.replay(log, policy=frame.assign(slot=24)).events.count()


def _schedule(log):
    """The messages of a log, but every tenth."""
    import pandas

    events = log.events.to_pandas()
    sent = events[events.event_type == "sent"].sort_values(["recipient_id", "timestamp"], kind="stable")
    frame = pandas.DataFrame({"recipient_id": sent.recipient_id, "send_time": pandas.to_datetime(sent.timestamp, utc=True)})
    return frame[[number % 10 > 0 for number in range(len(frame))]].reset_index(drop=True)


def test_a_schedule_is_replayed_as_by_the_command(command, tmp_path):
    polars = pytest.importorskip("polars")
    small = pp.generate("email", users=40, days=30, seed=5, policy="scheduled").write(tmp_path / "small")
    frame = _schedule(small)
    frame.to_csv(tmp_path / "mine.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")
    command("policy", "replay", small.directory, "--schedule", tmp_path / "mine.csv", "-o", tmp_path / "told", "--quiet")
    replayed = pp.policy.replay(small, schedule=tmp_path / "mine.csv")
    made = replayed.write(tmp_path / "made")
    assert digests(made.directory) == digests(tmp_path / "told") and made.verify().ok
    parents = [json.loads((tmp_path / run / "manifest.json").read_text())["run"]["parent"] for run in ("told", "made")]
    assert parents[0] == parents[1] and parents[0]["seed"] == 5 and parents[0]["scenario_digest"] == small.scenario_digest
    sent = replayed.events.to_pandas().event_type.eq("sent").sum()
    assert 0 < sent < small.events.to_pandas().event_type.eq("sent").sum()
    # Frames are the same plan, and go to another process with it.
    for given in (frame, polars.from_pandas(frame)):
        from_frame = pp.policy.replay(small, schedule=given)
        assert from_frame.events.to_arrow().equals(replayed.events.to_arrow())
        assert pickle.loads(pickle.dumps(from_frame)) == from_frame == copy.deepcopy(from_frame)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_opens, [from_frame]) == [_opens(replayed)]
    for wrong, message in (
        ({}, "give a policy or a schedule, and not both"),
        ({"policy": "oracle", "schedule": frame}, "give a policy or a schedule, and not both"),
        ({"schedule": frame.rename(columns={"send_time": "sendtime"})}, "has no column send_time; .* did you mean 'sendtime'"),
        ({"schedule": frame.assign(recipient_id="nobody")}, "nobody"),
    ):
        with pytest.raises(pp.InputError, match=message):
            pp.policy.replay(small, **wrong)
    with pytest.raises(TypeError, match="must be a file or a data frame, got list"):
        pp.policy.replay(small, schedule=[1])


def _opens(run):
    return run.decisions.count(), run.events.count()


def test_value_as_the_command(log, learned, command, tmp_path):
    learned.to_csv(tmp_path / "best.csv")
    names = [str(tmp_path / "best.csv"), "oracle"]
    values = pp.policy.value(log, names, reward={"open": 1, "click": 3, "send": -0.002}, days=40)
    arguments = [word for name in names for word in ("--policy", name)]
    assert values == told(command, "value", log.directory, *arguments, "--reward", '{"open": 1, "click": 3, "send": -0.002}', "--days", 40)
    assert values.to_frame().index.tolist() == ["the run", *names] and values.differences().index.tolist() == names
    own, best = values.estimate("the run"), values.estimate("oracle")
    assert isinstance(best, pp.Estimate) and best.value - own.value == pytest.approx(values.difference("oracle").value, abs=1e-12)
    assert values.difference("oracle").standard_error < best.standard_error + own.standard_error
    assert values.to_frame().loc["oracle", "user_standard_error"] == values.estimate("oracle", "user").standard_error
    named = pp.policy.value(log, {"learned": learned, "alike": names[0]}, days=40)
    assert named.estimate("learned") == named.estimate("alike") and named.difference("alike").value == named.difference("learned").value
    assert "<table>" in values._repr_html_() and pickle.loads(pickle.dumps(values)) == values and type(copy.copy(values)) is pp.policy.Values
    with pytest.raises(KeyError, match="did you mean 'oracle'"):
        values.estimate("oracl")
    with pytest.raises(pp.InputError, match="two are called oracle"):
        pp.policy.value(log, ["oracle", "oracle"])
    with pytest.raises(pp.InputError, match="is one policy"):
        pp.policy.value(log, {"base": {"type": "uniform"}})
    with pytest.raises(pp.InputError, match="^reward: .*is not a reward"):
        pp.policy.value(log, ["oracle"], reward="opens")
    with pytest.raises(pp.InputError, match="some of the users"):
        pp.policy.value(pp.generate("email", users=10, seed=1).actors(2, 5), ["oracle"])
    # Without a policy of its own a run mails as `scheduled` does.
    plain = pp.policy.value(pp.generate("email", users=20, days=20, seed=1), ["scheduled"])
    assert plain.difference("scheduled").value == 0


def test_options_are_those_of_the_command(log, command):
    less = pp.policy.value(log, ["oracle"], discount=0.9)
    assert less == told(command, "value", log.directory, "--policy", "oracle", "--discount", 0.9)
    assert less.estimate("oracle", "user").value < pp.policy.value(log, ["oracle"]).estimate("oracle", "user").value
    numbers = {"clip": 2, "switch": 3, "shrinkage": 7, "span": 2, "replicates": 2}
    arguments = [word for name, number in numbers.items() for word in (f"--{name}", number)]
    found = pp.policy.evaluate(log, "uniform", start=LATER, **numbers)
    assert found == told(command, "evaluate", log.directory, "--target", "uniform", "--from", LATER, *arguments)
    assert found["replicates"] == 2 and len(found["replicated"]) > 5
    # A model that knows nothing is that of dr without one: ips.
    decisions = log.decisions.select("decision_id").to_pandas()
    zero = decisions.merge(__import__("pandas").DataFrame({"action": range(24)}), how="cross").assign(q=0.0)
    nothing = pp.policy.evaluate(log, "uniform", q_hat=zero)
    assert nothing.estimate("dr").value == pytest.approx(nothing.estimate("ips").value, abs=1e-12)
    with pytest.raises(pp.InputError, match="^q_hat: has no column q"):
        pp.policy.evaluate(log, "uniform", q_hat=decisions.assign(action=0))
    for wrong in ({"clip": 0}, {"span": 0}, {"replicates": -1}):
        with pytest.raises(pp.InputError, match=next(iter(wrong))):
            pp.policy.evaluate(log, "uniform", **wrong)
    with pytest.raises(pp.InputError, match="discount: must be from 0 to 1"):
        pp.policy.value(log, ["oracle"], discount=2)


def test_results_stand_in_the_report(log, tmp_path):
    (tmp_path / "values.json").write_text(json.dumps(pp.policy.value(log, ["oracle"])))
    (tmp_path / "ope.json").write_text(json.dumps(pp.policy.evaluate(log, "uniform")))
    report = pp.report(log, verify=False, policies=[tmp_path / "values.json", tmp_path / "ope.json"])
    figures = [figure["id"] for section in report["sections"] for figure in section["figures"]]
    assert {"policy-value", "policy-propensity", "policies-worth-1", "policies-estimators-1"} <= set(figures)


def test_evaluate_as_the_command(log, learned, command, tmp_path):
    learned.to_csv(tmp_path / "best.csv")
    found = pp.policy.evaluate(log, learned, start=LATER)
    same = told(command, "evaluate", log.directory, "--target", tmp_path / "best.csv", "--from", LATER)
    assert found["target"] == "best_hour" and {**found, "target": None} == {**same, "target": None}
    assert abs(found.estimate("dr").value - found.truth.value) < 4 * found.estimate("dr").standard_error
    frame = found.to_frame()
    assert frame.loc["ips", "estimate"] == found.estimate("ips", "decision").value and "dr" in frame.index
    assert "<table>" in found._repr_html_() and type(pickle.loads(pickle.dumps(found))) is pp.policy.Evaluation
    with pytest.raises(KeyError, match="there are .*ips.*did you mean 'snips'"):
        found.estimate("snip")
    with pytest.raises(pp.InputError, match="has other windows or slots"):
        pp.policy.evaluate(log, {"slot_minutes": 30})
    with pytest.raises(pp.InputError, match="has no policy"):
        pp.policy.evaluate(pp.generate("email", users=10, seed=1), "oracle")
    with pytest.raises(pp.InputError, match="has no policies"):
        pp.policy.learn(pp.generate("churn", users=10, seed=1))


def test_progress_is_told_and_what_the_callback_raises_comes_out(log):
    users = []
    pp.policy.value(log, ["uniform"], days=20, progress=users.append)
    assert sum(users) == 350

    class Enough(Exception):
        pass

    def stop(_):
        raise Enough

    for work in (
        lambda: pp.policy.value(log, ["uniform"], progress=stop),
        lambda: pp.policy.learn(log, progress=stop),
        lambda: pp.policy.evaluate(log, "uniform", progress=stop),
        lambda: log.to_obp(progress=stop),
    ):
        with pytest.raises(Enough):
            work()


@pytest.fixture(scope="module")
def obp():
    """The estimators of Open Bandit Pipeline, without the rest of it, which needs PyTorch: it is named in annotations alone."""
    pytest.importorskip("sklearn")
    try:
        root = Path(str(importlib.metadata.distribution("obp").locate_file("obp")))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pip install --no-deps -r crates/populace-py/tests/no-deps.txt")
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("obp", "torch")}
    torch, package = types.ModuleType("torch"), types.ModuleType("obp.ope")
    torch.Tensor, package.__path__ = type("Tensor", (), {}), [str(root / "ope")]
    sys.modules.update({"torch": torch, "obp.ope": package})
    try:
        return importlib.import_module("obp.ope.estimators")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] in ("obp", "torch")]:
            del sys.modules[name]
        sys.modules.update(kept)


def sound(rounds):
    """What holds of all arrays of a log."""
    import numpy

    n, actions = rounds["n_rounds"], rounds["n_actions"]
    assert rounds["context"].shape == (n, len(rounds["context_names"])) and numpy.isfinite(rounds["context"]).all()
    assert rounds["expected_reward"].shape == (n, actions) and rounds["pi_b"].shape == (n, actions, 1)
    assert numpy.allclose(rounds["pi_b"].sum(axis=1), 1, rtol=0, atol=1e-12)
    taken = rounds["pi_b"][numpy.arange(n), rounds["action"], 0]
    assert numpy.allclose(taken, rounds["pscore"], rtol=1e-12) and (rounds["pscore"] > 0).all()
    assert set(numpy.unique(rounds["reward"])) <= {0, 1} and 0 <= rounds["action"].min() and rounds["action"].max() < actions


@pytest.mark.parametrize("target", ["uniform", {"base": {"type": "softmax", "temperature": 0.1}}, "learned", {"base": {"type": "uniform"}, "skip": 0.2}])
def test_obp_says_of_the_log_what_populace_does(log, learned, target, obp):
    target = learned if target == "learned" else target
    rounds = log.to_obp(target=target, start=LATER)
    sound(rounds)
    found = pp.policy.evaluate(log, target, start=LATER, allow_unsupported=True)
    assert found["decisions"] == rounds["n_rounds"]
    round_of = {name: rounds[name] for name in ("reward", "action", "pscore", "position", "action_dist")}
    modelled = {"estimated_rewards_by_reg_model": rounds["estimated_rewards_by_reg_model"]}
    theirs = {
        "ips": obp.InverseProbabilityWeighting().estimate_policy_value(**round_of),
        "snips": obp.SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**round_of),
        "dm": obp.DirectMethod().estimate_policy_value(action_dist=rounds["action_dist"], position=None, **modelled),
        "dr": obp.DoublyRobust().estimate_policy_value(**round_of, **modelled),
        "sndr": obp.SelfNormalizedDoublyRobust().estimate_policy_value(**round_of, **modelled),
        "switch_dr": obp.SwitchDoublyRobust(tau=10).estimate_policy_value(**round_of, **modelled),
        "dros": obp.DoublyRobustWithShrinkage(lambda_=100).estimate_policy_value(**round_of, **modelled),
    }
    for name, value in theirs.items():
        assert found.estimate(name).value == pytest.approx(value, rel=0, abs=1e-9), name


def test_rounds_of_logs_that_skip_cap_and_explore_by_user():
    import numpy

    policy = {"explore": {"share": 0.3, "unit": "user"}, "skip": 0.2, "caps": {"per_day": 1}}
    log = pp.generate("email", users=60, days=40, seed=3, policy=policy)
    rounds = log.to_obp()
    sound(rounds)
    assert rounds["n_actions"] == 25 and "action_dist" not in rounds
    none = rounds["action"] == 24
    assert 0.3 < none.mean() < 0.6 and rounds["reward"][none].sum() == 0 and (rounds["expected_reward"][:, 24] == 0).all()
    # Holdouts are no rounds.
    held = pp.generate("email", users=60, days=40, seed=3, policy={"holdout": {"share": 0.5}})
    assert len(set(held.to_obp()["recipient_id"])) < 60
    # What is expected is the truth's own value of the slot that was taken.
    decisions = held.decisions.select("decision_id", "arm", "action").to_pandas()
    truth = held.truth.decisions.to_pandas().set_index("decision_id")
    rounds = held.to_obp()
    taken = rounds["expected_reward"][numpy.arange(rounds["n_rounds"]), rounds["action"]]
    logged = truth.q_logged.reindex(decisions.decision_id[decisions.arm != "holdout"]).to_numpy(float)
    assert numpy.allclose(taken, logged, rtol=1e-12)
    assert held.to_obp(reward="click")["expected_reward"] is None
    with pytest.raises(pp.InputError, match="has no policy"):
        pp.generate("email", users=10, seed=1).to_obp()
