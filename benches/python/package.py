"""Measure the Python package beside plain Python and NumPy, in one process, and beside the engine's own dry run.

    python benches/python/package.py [--quick] [--rounds N] [--json FILE]

Needs the package installed, and numpy and pyarrow. Everything runs on one thread, and is charged for the CPU time of the process, in
turns, so that a slow minute of the machine falls on all alike; the median of the rounds is told. Plain Python writes CSV, as its users
would; NumPy and Populace make Arrow batches. The engine's figure is that of `populace generate --dry-run`, a process of its own: its CPU
time with that of a run of one user taken off.
"""

import argparse
import importlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import populace as pp

MAIN_TABLE = {"email": "events", "traces": "calls", "churn": "events"}
DAYS = {"email": 101, "traces": 30, "churn": 120}
USERS = {
    "plain": {"email": 200, "traces": 2_000, "churn": 250},
    "numpy": {"email": 12_000, "traces": 160_000, "churn": 30_000},
    "populace": {"email": 40_000, "traces": 500_000, "churn": 80_000},
}


def measured(work: Callable[[], int]) -> float:
    """Rows of the main table in a CPU-second of this process."""
    start = time.process_time()
    rows = work()
    return rows / (time.process_time() - start)


def plain(scenario: str, users: int) -> int:
    with tempfile.TemporaryDirectory() as out:
        return importlib.import_module(f"plain_{scenario}").generate(users, DAYS[scenario], 1, Path(out))[MAIN_TABLE[scenario]]


def vectorised(scenario: str, users: int) -> int:
    # Text stays a dictionary and ids bytes, as in the batches asked of Populace; churn's has no other form.
    text = () if scenario == "churn" else (False,)
    batches = importlib.import_module(f"numpy_{scenario}").batches(np.random.default_rng(1), users, DAYS[scenario], *text)
    return sum(tables[MAIN_TABLE[scenario]].num_rows for tables in batches)


def package(scenario: str, users: int) -> int:
    return sum(len(batch) for batch in pp.stream(scenario, users=users, seed=1, threads=1, ids="uuid", text="category"))


def engine(scenario: str, users: int) -> float:
    """Rows of the main table in a CPU-second of the engine, without its start."""

    def run(users: int) -> tuple[int, float]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["generate", scenario, f"--users={users}", "--seed=1", "--threads=1", "--dry-run", "--json", "-q", f"--table={MAIN_TABLE[scenario]}"]
        told = subprocess.run([Path(sys.executable).with_name("populace"), *command], capture_output=True, text=True, check=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return json.loads(told)["tables"][MAIN_TABLE[scenario]]["rows"], cpu

    (rows, cpu), (_, start) = run(users), run(1)
    return rows / (cpu - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round at a tenth of the size")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, whose median is told (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    args = parser.parse_args()
    rounds, share = (1, 10) if args.quick else (args.rounds, 1)
    figures: dict[str, dict[str, float]] = {}
    for scenario in MAIN_TABLE:
        users = {name: counts[scenario] // share for name, counts in USERS.items()}
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        package(scenario, users["populace"])
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        samples: dict[str, list[float]] = {"plain": [], "numpy": [], "package": [], "engine": []}
        for _ in range(rounds):
            samples["plain"].append(measured(lambda: plain(scenario, users["plain"])))
            samples["numpy"].append(measured(lambda: vectorised(scenario, users["numpy"])))
            samples["package"].append(measured(lambda: package(scenario, users["populace"])))
            samples["engine"].append(engine(scenario, users["populace"]))
        found = {name: statistics.median(values) for name, values in samples.items()}
        found |= {"over plain": found["package"] / found["plain"], "over numpy": found["package"] / found["numpy"]}
        found |= {"of the engine": found["package"] / found["engine"], "memory MiB": grown / 1024}
        figures[scenario] = found
    print(f"{'M events per CPU-second':<24}" + "".join(f"{name:>15}" for name in figures["email"]))
    for scenario, found in figures.items():
        scale = lambda name, value: value / 1e6 if name in ("plain", "numpy", "package", "engine") else value
        print(f"{scenario:<24}" + "".join(f"{scale(name, value):>15.3f}" for name, value in found.items()))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
