"""Users of a subscription and their events: `python -m populace.churn.generate_synthetic`.

Writes users.csv and events.csv, and what only the simulator knows under truth/, into data/raw.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from populace._command import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments, else with those of the command line; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m populace.churn.generate_synthetic", description="Users of a subscription and their events, as CSV.")
    parser.add_argument("--n-users", default="2000", help="number of users (default 2000)")
    parser.add_argument("--days", default="120", help="number of days (default 120)")
    parser.add_argument("--start-date", default="2025-01-01", help="first day (default 2025-01-01)")
    parser.add_argument("--paid-ratio", default="0.35", help="share of users on the paid plan (default 0.35)")
    parser.add_argument("--churn-base-rate", default="0.35", help="base rate that the churn probability is made from (default 0.35)")
    parser.add_argument("--seed", default="42", help="seed (default 42)")
    parser.add_argument("--out-dir", "--output-dir", default="data/raw", help="directory (default data/raw)")
    parser.add_argument("--keep", action="store_true", help="refuse to replace an earlier run in the directory")
    given = parser.parse_args(arguments)
    command = [
        "generate", "churn", f"--users={given.n_users}", f"--days={given.days}", f"--start={given.start_date}",
        f"--paid-ratio={given.paid_ratio}", f"--churn-base-rate={given.churn_base_rate}", f"--seed={given.seed}",
        f"--output={given.out_dir}",
    ]  # fmt: skip
    return run(command if given.keep else [*command, "--overwrite"])


if __name__ == "__main__":
    sys.exit(main())
