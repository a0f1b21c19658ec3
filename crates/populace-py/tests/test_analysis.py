"""What the analysis commands do, from Python, with the same results."""

import csv
import json

import pytest

import populace as pp


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return pp.generate("email", users=350, days=40, seed=11).write(tmp_path_factory.mktemp("analysis") / "run")


def predictions(run):
    pa = pytest.importorskip("pyarrow")
    messages = pa.table(run.truth.messages).to_pandas()
    delivered = messages[messages.p_open.notna()]
    return delivered[["message_id", "p_open"]].rename(columns={"p_open": "score"})


def test_verify_as_the_command(run, command):
    verdicts = pp.verify(run)
    assert verdicts.ok and verdicts.failures == [] and verdicts["passed"] > 20
    assert json.loads(command("verify", run.directory, "--json").stdout) == verdicts
    assert "<table>" in verdicts._repr_html_()
    verdicts.raise_for_failure()


def test_verify_finds_what_does_not_hold(run):
    changed = pp.Scenario.load("email", set={"personas.sporadic.open_rate": 0.4, "population.users": 350, "window.days": 40})
    import tempfile, os

    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "other.yaml")
        changed.to_yaml(path)
        verdicts = pp.verify(run, scenario=path)
    assert not verdicts.ok
    with pytest.raises(pp.CheckFailed):
        verdicts.raise_for_failure()


def test_score_takes_frames_and_files(run, command, tmp_path):
    pytest.importorskip("pandas")
    frame = predictions(run)
    card = pp.score("open", run, frame)
    frame.to_csv(tmp_path / "predictions.csv", index=False)
    told = json.loads(command("score", "open", run.directory, tmp_path / "predictions.csv", "--json").stdout)
    same = lambda card: {key: value for key, value in card.items() if key != "predictions"}
    assert same(pp.score("open", run, tmp_path / "predictions.csv")) == same(told) == same(card)
    polars = pytest.importorskip("polars")
    assert same(pp.score("open", run, polars.from_pandas(frame))) == same(card)
    assert "<table>" in card._repr_html_()
    assert card["n"] == len(frame)


def test_thresholds(run):
    frame = predictions(run)
    assert pp.score("open", run, frame, min_auc=0.5).ok
    missed = pp.score("open", run, frame, min_auc=0.999)
    assert not missed.ok
    with pytest.raises(pp.CheckFailed, match="auc"):
        missed.raise_for_failure()


def test_plan_as_the_command(command):
    told = json.loads(command("plan", "email", "--detect", "fatigue", "--pilot-users", 50, "--json").stdout)
    assert pp.plan("email", "fatigue", pilot_users=50) == told
    assert "fatigue" in pp.effects("email") and "fatigue" not in pp.effects("traces")
    for wrong in (dict(detect="nothing"), dict(detect="fatigue", power=2), dict(detect="fatigue", at=1.0, size=0.1)):
        with pytest.raises(pp.InputError):
            pp.plan("email", pilot_users=50, **wrong)


def test_recover_features_and_report(run, command, tmp_path):
    recovered = pp.recover(run)
    assert recovered["estimates"] and "<table>" in recovered._repr_html_()
    assert pp.features(run, tmp_path / "features") and any((tmp_path / "features").iterdir())
    figures = pp.report(run, tmp_path / "report.html")
    assert json.loads((tmp_path / "report.json").read_text()) == figures
    assert (tmp_path / "report.html").read_text().lstrip().lower().startswith("<!doctype html")
    with pytest.raises(pp.InputError, match="html"):
        pp.report(run, tmp_path / "report.pdf")


def test_a_report_of_two_runs(command, tmp_path):
    one, other = pp.generate("traces", users=60, seed=1), pp.generate("traces", users=60, seed=2, workflow="microservices")
    first, second = one.write(tmp_path / "one"), other.write(tmp_path / "two")
    command("report", tmp_path / "one", tmp_path / "two", "-o", tmp_path / "told.html", "--no-progress")
    figures = pp.report(first, tmp_path / "both.html", other=second)
    assert json.loads((tmp_path / "told.json").read_text()) == figures and figures["other"]["seed"] == "2"
    assert (tmp_path / "both.html").read_text() == (tmp_path / "told.html").read_text()
    assert pp.report(one, other=other)["notes"] == figures["notes"]
    with pytest.raises(pp.InputError, match="compare two directories of one family"):
        pp.report(one, other=pp.generate("email", users=20, seed=1))
    with pytest.raises(pp.InputError, match="^scores: scorecards are of one run"):
        pp.report(one, other=other, scores=[tmp_path / "told.json"])


def test_analysis_is_at_hand_as_methods(run, tmp_path):
    frame = predictions(run)
    assert run.verify() == pp.verify(run) and run.recover(level=0.9) == pp.recover(run, level=0.9)
    assert run.score("open", frame) == pp.score("open", run, frame)
    assert run.report(tmp_path / "report.html", verify=False) == pp.report(run, verify=False) and (tmp_path / "report.html").exists()
    other = pp.generate("email", users=350, days=40, seed=12)
    compared = run.compare(other, tmp_path / "compare.html")
    assert compared == run.report(other=other, verify=False) == pp.report(run, other=other, verify=False)
    assert compared["facts"][0]["other"]["z"] is not None and (tmp_path / "compare.html").exists()
    with pytest.raises(TypeError, match="give another run as other=, or call compare"):
        run.report(other)


def test_a_run_that_was_written_for_its_analysis_leaves_nothing_and_warns_of_nothing():
    import gc, os, warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = pp.generate("churn", users=20, days=40, seed=3)
        assert run.recover()["estimates"]
        directory = run._files()
        assert os.path.isdir(directory)
        del run
        gc.collect()
        assert not os.path.exists(os.path.dirname(directory))


def test_prepare_of_a_run_that_is_generated(tmp_path):
    report = pp.prepare_churn(pp.generate("churn", users=20, days=40, seed=3), tmp_path / "processed")
    assert report["users"]["kept"] == 20 and report["user_daily"]["rows"] == 800
    with open(tmp_path / "processed" / "user_daily.csv", newline="") as file:
        assert sum(1 for _ in csv.reader(file)) == 801


def test_columns_of_predictions_are_known_however_their_names_are_parted(run):
    given = predictions(run)
    card = pp.score("open", run, given)
    assert pp.score("open", run, given.rename(columns={"message_id": "Message ID", "score": "Score"})) == card
    churn = pp.generate("churn", users=60, days=20, seed=1)
    users = pp.labels("churn", churn).reset_index()[["user_id"]].assign(score=0.5)
    named = users.rename(columns={"user_id": "User ID", "score": "Score"})
    assert pp.score("churn", churn, named) == pp.score("churn", churn, users)

