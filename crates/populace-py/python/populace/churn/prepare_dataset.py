"""Clean tables and one row for each user and day: `python -m populace.churn.prepare_dataset`.

Reads users and events from data/raw; writes users_clean.csv, events_clean.csv and user_daily.csv into data/processed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from populace._command import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments, else with those of the command line; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m populace.churn.prepare_dataset", description="Clean tables and one row for each user and day.")
    parser.add_argument("--raw-dir", default="data/raw", help="directory of users and events (default data/raw)")
    parser.add_argument("--processed-dir", "--out-dir", default="data/processed", help="directory to write (default data/processed)")
    parser.add_argument("--keep-latent", action="store_true", help="keep engagement_score in users_clean")
    parser.add_argument("--keep", action="store_true", help="refuse to replace what an earlier call wrote")
    given = parser.parse_args(arguments)
    command = ["prepare", "churn", given.raw_dir, given.processed_dir]
    return run(command + ["--keep-latent"] * given.keep_latent + ([] if given.keep else ["--overwrite"]))


if __name__ == "__main__":
    sys.exit(main())
