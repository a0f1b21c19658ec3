"""Engagement with email, the first version of its scenario: `python -m populace.email.generate_synthetic_data`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from populace._command import run


def main(arguments: Sequence[str] | None = None, scenario: str = "email-v1") -> int:
    """Run with these arguments, else with those of the command line; give the exit code."""
    parser = argparse.ArgumentParser(description=f"Engagement with email: the scenario {scenario}.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--summary", action="store_true", help="print the volumes to expect, and generate nothing")
    what.add_argument("--dry-run", action="store_true", help="generate and count everything, write nothing")
    parser.add_argument("--count", metavar="N", nargs="?", const="100", help="stop after N events; 100 without a number")
    parser.add_argument("--users", metavar="N", help="number of users")
    parser.add_argument("--seed", metavar="N", help="seed; without one, one is drawn and printed")
    parser.add_argument("-o", "--output", "--output-dir", default="data", metavar="DIR", help="directory (default data)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier run in the directory")
    given = parser.parse_args(arguments)
    command = ["generate", scenario, f"--output={given.output}"]
    command += [f"--{name}" for name, wanted in (("summary", given.summary), ("dry-run", given.dry_run), ("overwrite", given.overwrite)) if wanted]
    command += [f"--{name}={value}" for name, value in (("count", given.count), ("users", given.users), ("seed", given.seed)) if value is not None]
    return run(command)


if __name__ == "__main__":
    sys.exit(main())
