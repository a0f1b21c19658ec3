"""Runs on their way to other processes, and streams that must not go there."""

import copy
import multiprocessing
import os
import pickle
import sys
import textwrap
import subprocess

import pytest

import populace as pp

pytest.importorskip("pyarrow")
RUNS = {
    "email": lambda: pp.generate("email", users=20, seed=3),
    "changed": lambda: pp.generate("email", users=20, seed=3, set={"personas.night_owl.open_rate": 0.3}, threads=2),
    "tables": lambda: pp.generate("traces", users=20, seed=3, tables=["calls"], workflow="simple"),
    "truthless": lambda: pp.generate("churn", users=20, seed=3, truth=False, latent=False),
    "counted": lambda: pp.generate("email", users=20, seed=3, count=500),
    "sequential": lambda: pp.generate("churn", users=20, seed=3, set={"event_ids": "sequential"}).part(1, 3),
    "part of counted": lambda: pp.generate("email", users=20, seed=3, count=500).part(1, 2),
    "actors": lambda: pp.generate("email", users=20, seed=3).actors(4, 9),
    "replay": lambda: pp.replay("churn", users=20, seed=3, actor=4, set={"event_ids": "sequential"}),
    "greatest seed": lambda: pp.generate("email", users=20, seed=2**64 - 1),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_run_is_pickled_as_what_defines_it(run):
    run = run()
    for other in (pickle.loads(pickle.dumps(run)), copy.deepcopy(run), copy.copy(run)):
        assert other == run and hash(other) == hash(run) and type(other) is type(run) and list(other) == list(run)
        assert all(other[path].to_arrow().equals(run[path].to_arrow()) for path in run)
    assert len(pickle.dumps(run)) < 40_000
    table = pickle.loads(pickle.dumps(run[next(iter(run))]))
    assert table == run[table.path] and table.head(3) == run[table.path].head(3)


def test_runs_are_equal_by_what_they_hold(tmp_path):
    runs = [run() for run in RUNS.values()]
    assert all((a == b) == (i == j) for i, a in enumerate(runs) for j, b in enumerate(runs))
    run = runs[0]
    opened = run.write(tmp_path / "run")
    assert opened == run and opened != runs[1] and run != "email" and run != pp.generate("email", users=20, seed=4)
    restored = pickle.loads(pickle.dumps(opened))
    assert restored == opened and restored.directory == opened.directory
    assert pp.generate("email", users=20, seed=3, count=500).write(tmp_path / "counted") == RUNS["counted"]()


def test_results_and_truth_are_pickled():
    run = RUNS["email"]()
    truth = pickle.loads(pickle.dumps(run.truth))
    assert truth["users"] == run.truth.users
    verdicts = pp.verify(run)
    assert pickle.loads(pickle.dumps(verdicts)) == verdicts == copy.deepcopy(verdicts) and type(copy.deepcopy(verdicts)) is pp.Verdicts
    assert pickle.loads(pickle.dumps(pp.InputError("x"))).args == ("x",)


def _rows(run):
    return run.events.count()


def test_runs_go_to_worker_processes():
    run = RUNS["email"]()
    expected = run.events.count()
    for method in ("spawn", "fork"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(_rows, [run, run]) == [expected, expected]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("take", ["next(batches)", "next(reader)", "del batches, reader; gc.collect(); raise pp.PopulaceError('gone in peace')"])
def test_a_stream_that_is_carried_over_a_fork_raises(take):
    script = textwrap.dedent(f"""
        import gc, os, pyarrow, populace as pp
        run = pp.generate("email", users=100_000, seed=1)
        batches, reader = iter(run.events), iter(pyarrow.RecordBatchReader.from_stream(run.events))
        next(batches), next(reader)
        if os.fork() == 0:
            try:
                {take}
            except (pp.PopulaceError, OSError, pyarrow.ArrowException) as error:
                assert "forked" in str(error) or "peace" in str(error), error
                # In the copy of the process new work is done as ever.
                assert pp.generate("email", users=5, seed=1).events.count() > 0
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        assert len(next(batches)) > 0 and len(next(reader)) > 0
        batches.close()
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


class Odd(Exception):
    pass


@pytest.mark.parametrize(
    "work",
    [
        lambda run, stop, path: pp.generate("email", users=2_000, seed=1, progress=stop).events.to_pandas(),
        lambda run, stop, path: pp.generate("email", users=2_000, seed=1, progress=stop).events.to_polars(),
        lambda run, stop, path: pp.generate("email", users=2_000, seed=1, progress=stop).events.to_arrow(),
        lambda run, stop, path: list(pp.stream("email", users=2_000, seed=1, progress=stop)),
        lambda run, stop, path: run.events.count(progress=stop),
        lambda run, stop, path: run.write(path / "run", progress=stop),
        lambda run, stop, path: pp.verify(run, progress=stop),
        lambda run, stop, path: pp.recover(run, progress=stop),
        lambda run, stop, path: pp.report(run, progress=stop),
        lambda run, stop, path: pp.score("open", run, pp.labels("open", run).p_latent, progress=stop),
    ],
)
def test_what_a_callback_raises_comes_out_as_itself(work, tmp_path):
    def stop(*_):
        raise Odd("mine")

    with pytest.raises(Odd, match="^mine$"):
        work(pp.generate("email", users=600, seed=1), stop, tmp_path)


def test_another_library_gives_the_text_of_what_a_callback_raises():
    def stop(*_):
        raise Odd("mine")

    pyarrow = pytest.importorskip("pyarrow")
    events = pp.generate("email", users=600, seed=1, progress=stop).events
    with pytest.raises(OSError, match="Odd: mine"):
        pyarrow.table(events)
    with pytest.raises(Odd, match="^mine$"):
        events.to_arrow()


def test_progress_of_what_reads_a_run(capsys):
    pytest.importorskip("tqdm")
    run = pp.generate("email", users=30, seed=1)
    told = []
    pp.verify(run, progress=told.append)
    assert sum(told) >= run.events.count()
    for work in (pp.verify, pp.recover, pp.report):
        work(run, progress=True)
        assert "rows" in capsys.readouterr().err
    run.events.count(progress=True)
    assert "users" in capsys.readouterr().err
    with pytest.raises(TypeError, match="progress"):
        pp.verify(run, progress="yes")
