"""The command and the scripts of the generators that Populace replaces."""

import csv
import subprocess
import sys

import populace as pp
from conftest import files


def module(*arguments, cwd, code=0):
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=300)
    assert done.returncode == code, done.stderr
    return done


def test_the_command_is_that_of_the_library(command):
    assert command("--version").stdout.strip() == f"populace {pp.__version__}"
    assert command("scenarios", "list").stdout.splitlines()[0].startswith("email ")
    assert command("generate", "nothing", "-o", "/nowhere", check=False).returncode == 2
    assert command("generate", "--user", check=False).returncode == 2


def test_the_package_runs_as_the_command(tmp_path):
    assert module("populace", "--version", cwd=tmp_path).stdout.strip() == f"populace {pp.__version__}"


def test_the_churn_scripts(tmp_path):
    module("populace.churn.generate_synthetic", "--n-users", 50, "--days", 60, "--churn-base-rate", "0.40", "--seed", 42, cwd=tmp_path)
    module("populace.churn.prepare_dataset", cwd=tmp_path)
    raw, processed = tmp_path / "data/raw", tmp_path / "data/processed"
    pp.generate("churn", users=50, days=60, churn_base_rate=0.4, seed=42).write(tmp_path / "library")
    assert files(raw) == files(tmp_path / "library")
    with open(processed / "user_daily.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == (
        "user_id,as_of_date,signup_date,days_since_signup,plan,is_paid,country,marketing_source,is_active_day,total_events,logins_count,"
        "enroll_count,watch_minutes_sum,quiz_attempts_count,quiz_avg_score,payment_success_count,payment_failed_count,support_ticket_count"
    ).split(",")
    assert len(rows) == 1 + 50 * 60
    # As the scripts they replace, both can be run again.
    module("populace.churn.generate_synthetic", "--n-users", 50, "--days", 60, "--seed", 43, cwd=tmp_path)
    module("populace.churn.prepare_dataset", cwd=tmp_path)
    assert "complete run" in module("populace.churn.generate_synthetic", "--keep", "--n-users", 50, cwd=tmp_path, code=2).stderr


def test_the_email_scripts(tmp_path):
    for script in ("populace.email.generate_synthetic_data", "populace.email.generate_synthetic_data_v2"):
        assert "350" in module(script, "--summary", cwd=tmp_path).stdout
        assert "Nothing was written" in module(script, "--dry-run", "--seed", 1, cwd=tmp_path).stderr
        assert not any(tmp_path.iterdir())
    module("populace.email.generate_synthetic_data_v2", "--count", 1000, "--seed", 1, "-o", "small", cwd=tmp_path)
    assert pp.open(tmp_path / "small").events.count() == 1000
    assert "--count" in module("populace.email.generate_synthetic_data", "--count", 0, cwd=tmp_path, code=2).stderr
    # As the described script: a hundred events without a number, and fewer users.
    module("populace.email.generate_synthetic_data_v2", "--users", 10, "--count", "--seed", 1, "--output-dir", "few", cwd=tmp_path)
    assert pp.open(tmp_path / "few").events.count() == 100
