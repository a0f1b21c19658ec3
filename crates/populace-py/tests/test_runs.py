"""Runs: the same rows as the command line's, by every way in which they can be had."""

import datetime
import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from conftest import digests, files

import populace as pp

SCENARIOS = [("email", 40), ("email-v1", 40), ("traces", 200), ("churn", 60)]


@pytest.mark.parametrize(("scenario", "users"), SCENARIOS)
def test_files_are_those_of_the_command_line(command, tmp_path, scenario, users):
    command("generate", scenario, "--users", users, "--seed", 7, "-q", "-o", tmp_path / "cli")
    run = pp.generate(scenario, users=users, seed=7, threads=3).write(tmp_path / "python")
    assert digests(tmp_path / "python") == digests(tmp_path / "cli")
    assert files(tmp_path / "python") == files(tmp_path / "cli")
    assert run.seed == 7 and run.directory == str(tmp_path / "python")


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl", "arrow"])
def test_a_run_is_read_back_whatever_its_format(tmp_path, format):
    pa = pytest.importorskip("pyarrow")
    run = pp.generate("email", users=12, days=20, seed=3)
    opened = run.write(tmp_path / "run", format=format)
    for path, table in run.tables.items():
        made, read = pa.table(table), pa.table(opened[path])
        assert read.num_rows == made.num_rows == opened[path].count() == table.count()
        assert read.column_names == made.column_names == table.column_names
        assert read.to_pylist() == made.to_pylist()


def test_replay_prints_the_lines_of_the_command(command):
    for scenario in ("email", "traces", "churn"):
        told = command("replay", scenario, "--seed", 42, "--actor", 17).stdout
        assert pp.replay(scenario, seed=42, actor=17).to_json_lines() == told


def test_a_replayed_user_is_that_of_the_full_run():
    pa = pytest.importorskip("pyarrow")
    run = pp.generate("email", users=30, seed=5)
    whole = pa.table(run.events).to_pylist()
    one = pa.table(pp.replay("email", seed=5, actor=11, users=30).events).to_pylist()
    assert one == [row for row in whole if row["recipient_id"] == "synth_user_01011"]
    assert one == pa.table(run.actors(11, 12).events).to_pylist()


def test_threads_do_not_change_a_row():
    pa = pytest.importorskip("pyarrow")
    for ids in ("per_user", "sequential"):
        runs = [pp.generate("churn", users=300, seed=1, threads=threads, set={"event_ids": ids}) for threads in (1, 2, 5)]
        tables = [pa.table(run.events).to_pylist() for run in runs]
        assert tables[0] == tables[1] == tables[2]
        found = [row["event_id"] for row in tables[0]]
        own = dict.fromkeys(range(1, 301), 0)
        for row, event_id in zip(tables[0], found):
            own[row["user_id"]] += 1
            assert ids == "sequential" or event_id == (row["user_id"] - 1) * 1_000_000 + own[row["user_id"]]
        assert ids == "per_user" or found == list(range(1, len(found) + 1))


@pytest.mark.parametrize(("scenario", "users", "ids"), [(*scenario, None) for scenario in SCENARIOS] + [("churn", 40, "sequential")])
@pytest.mark.parametrize("parts", [1, 3, 7])
def test_parts_are_the_run(scenario, users, ids, parts):
    pa = pytest.importorskip("pyarrow")
    run = pp.generate(scenario, users=users, seed=4, set={} if ids is None else {"event_ids": ids})
    before = run.rows_before(parts)
    for path, table in run.tables.items():
        whole = pa.table(table).to_pylist()
        for rows_before in (before, [None] * parts):
            made = [pa.table(run.part(k, parts, rows_before=rows_before[k])[path]).to_pylist() for k in range(parts)]
            assert [row for rows in made for row in rows] == whole
            assert [run.part(k, parts)[path].count() for k in range(parts)] == [len(rows) for rows in made]
    if ids == "sequential":
        assert before == [sum(run.part(k, parts).events.count() for k in range(part)) for part in range(parts)]
    else:
        assert before == [None] * parts


def test_parts_of_parts_and_more_parts_than_users(tmp_path):
    pa = pytest.importorskip("pyarrow")
    run = pp.generate("churn", users=5, seed=4)
    whole = pa.table(run.events).to_pylist()
    inner = [run.part(k, 2).part(j, 2) for k in range(2) for j in range(2)]
    assert [row for part in inner for row in pa.table(part.events).to_pylist()] == whole
    assert sum(run.part(k, 9).events.count() for k in range(9)) == len(whole)
    assert sum(run.part(k, 9).num_users for k in range(9)) == 5
    streamed = [row for k in range(3) for batch in pp.stream("churn", users=5, seed=4, part=(k, 3)) for row in pa.table(batch).to_pylist()]
    assert streamed == whole
    counted = pp.generate("email", users=50, seed=4, count=500)
    assert [row for k in range(3) for row in pa.table(counted.part(k, 3).events).to_pylist()] == pa.table(counted.events).to_pylist()
    with pytest.raises(pp.InputError, match="write the whole run"):
        run.part(0, 2).write(tmp_path / "part")
    for part, parts in [(2, 2), (0, 0), (-1, 2)]:
        with pytest.raises(pp.InputError):
            run.part(part, parts)
    with pytest.raises(pp.InputError, match="read from files"):
        run.write(tmp_path / "run").part(0, 2)


def test_columns_and_plain_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    run = pp.generate("email", users=12, seed=4)
    whole, names = pa.table(run.events), ["timestamp", "event_type", "message_id"]
    for table in (run.events, run.write(tmp_path / "run").events):
        some = pa.table(table.select(*names))
        assert some.column_names == table.select(*names).column_names == names
        assert some.to_pylist() == whole.select(names).to_pylist()
        assert pa.schema(table.select(*names)) == some.schema
        assert list(table.select(*names).head(1)[0]) == names
    batches = list(pp.stream("email", users=12, seed=4, columns=names))
    assert pa.schema(batches[0]).field("event_type").type == pa.string()
    assert pa.Table.from_batches([pa.record_batch(batch) for batch in batches]).to_pylist() == whole.select(names).to_pylist()
    for wrong in ([], ["event"], ["event_type", "event_type"]):
        with pytest.raises(pp.InputError, match="columns"):
            pp.stream("email", users=12, seed=4, columns=wrong)
    with pytest.raises(TypeError):
        pp.stream("email", users=12, seed=4, columns="event_type")
    # Rows whose numbers nobody asks for are not counted.
    churn = pp.generate("churn", users=40, seed=4)
    some = pa.table(churn.part(1, 2).events.select("user_id", "event_type"))
    assert some.to_pylist() == pa.table(churn.part(1, 2).events).select(["user_id", "event_type"]).to_pylist()


def test_every_library_takes_the_stream():
    pa, pandas, polars, duckdb = map(pytest.importorskip, ("pyarrow", "pandas", "polars", "duckdb"))
    run = pp.generate("email", users=50, seed=2)
    events = run.events
    rows = events.count()
    assert pa.table(events).num_rows == rows
    assert len(events.to_pandas()) == rows
    assert len(pandas.DataFrame.from_arrow(events) if hasattr(pandas.DataFrame, "from_arrow") else events.to_pandas()) == rows
    assert polars.DataFrame(events).height == events.to_polars().height == rows
    reader = pa.RecordBatchReader.from_stream(events)
    assert duckdb.sql("select count(*) from reader").fetchall() == [(rows,)]
    messages = run.truth.messages.to_pandas()
    assert {"message_id", "p_open", "p_click"} <= set(messages.columns)


def test_a_library_may_ask_for_other_types():
    pa = pytest.importorskip("pyarrow")
    events = pp.generate("email", users=5, seed=2).events
    own = events.schema
    wish = pa.schema([field.with_type(pa.large_string()) if field.type == pa.string() else field for field in own])
    reader = pa.RecordBatchReader.from_stream(events, schema=wish)
    assert reader.schema.field("event_type").type == pa.large_string()
    assert reader.read_all().to_pylist() == pa.table(events).to_pylist()


def test_batches_come_in_order_and_can_be_left_early():
    pa = pytest.importorskip("pyarrow")
    batches = list(pp.stream("traces", users=2_000, seed=9))
    assert len(batches) > 3 and all(len(batch) for batch in batches)
    joined = pa.concat_tables([pa.table(batch) for batch in batches])
    assert joined.to_pylist() == pa.table(pp.generate("traces", users=2_000, seed=9).calls).to_pylist()
    first = next(iter(pp.stream("traces", users=10**9, seed=9)))
    assert len(first) > 0 and first.column_names[0] == "call_id"


def test_a_stream_of_millions_stays_in_bounded_memory():
    script = textwrap.dedent("""
        import resource, populace as pp
        def rows(users):
            return sum(len(batch) for batch in pp.stream("traces", users=users, seed=1))
        rows(20_000); first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows(200_000); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first)
    """)
    grown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    # Ten times the rows are 4.6 million, of 100 bytes and more each.
    assert int(grown.stdout) < 40_000, "KiB"


@pytest.mark.parametrize(
    "how",
    [
        "for batch in run.events: pass",
        "run.to_parquet(sys.argv[1])",
        "run.events.count()",
        'pp.plan("email", "fatigue", pilot_users=1_000_000)',
        'pp.generate("churn", users=100_000_000, seed=1, set={"event_ids": "sequential"}).rows_before(3)',
    ],
)
def test_ctrl_c_stops_at_once(tmp_path, how):
    script = textwrap.dedent(f"""
        import sys, time, populace as pp
        run = pp.generate("email", users=100_000_000, seed=1)
        print("ready", flush=True)
        try:
            {how}
        except KeyboardInterrupt:
            print("stopped", flush=True)
    """)
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path / "run"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert told == "stopped\n" and process.returncode == 0


def test_an_interrupted_run_is_gone_on_with(tmp_path):
    run = pp.generate("churn", users=4_000, seed=1)

    def stop(done, total):
        if done > 500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.write(tmp_path / "run", progress=stop)
    assert not (tmp_path / "run" / "manifest.json").exists()
    with pytest.raises(pp.InputError, match="unfinished"):
        pp.open(tmp_path / "run")
    run.write(tmp_path / "run", resume=True)
    run.write(tmp_path / "whole")
    assert files(tmp_path / "run") == files(tmp_path / "whole")


def test_other_threads_run_meanwhile():
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    started = time.monotonic()
    pp.generate("email", users=3_000, seed=1).events.count()
    took = time.monotonic() - started
    done.set()
    thread.join()
    # A thread that had to wait for the interpreter would not have counted at all.
    assert counted[0] > took * 20


def test_progress_is_told_by_a_function_and_by_tqdm(tmp_path, capsys):
    told = []
    run = pp.generate("traces", users=3_000, seed=1, progress=lambda done, total: told.append((done, total)))
    run.calls.count()
    list(run.calls)
    run.write(tmp_path / "run", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3_000, 3_000) and all(done <= total for done, total in told)
    pytest.importorskip("tqdm")
    pp.generate("traces", users=3_000, seed=1, progress=True).write(tmp_path / "bar")
    assert "3.00k/3.00k" in capsys.readouterr().err


def test_seeds():
    numpy = pytest.importorskip("numpy")
    assert pp.generate("email", seed=5).seed == pp.generate("email", random_state=5).seed == 5
    assert pp.generate("email", seed=numpy.int64(5)).seed == 5
    assert pp.generate("churn").seed == 42, "the scenario's own"
    assert pp.generate("email").seed != pp.generate("email").seed, "drawn"
    draw = lambda: pp.generate("email", random_state=numpy.random.default_rng(1)).seed
    assert draw() == draw()
    assert pp.generate("email", random_state=numpy.random.RandomState(1)).seed == pp.generate("email", random_state=numpy.random.RandomState(1)).seed
    with pytest.raises(pp.InputError, match="two names"):
        pp.generate("email", seed=1, random_state=1)


def test_scenarios_are_dictionaries(tmp_path, command):
    scenario = pp.Scenario.load("email")
    assert scenario["personas"]["night_owl"]["open_rate"] == 0.28
    scenario["personas"]["night_owl"]["open_rate"] = 0.3
    scenario["name"] = "changed"
    path = tmp_path / "changed.yaml"
    scenario.to_yaml(path)
    assert pp.Scenario.load(path) == scenario.resolved()
    by_setting = pp.generate("email", set={"personas.night_owl.open_rate": 0.3}, seed=1)
    assert by_setting.scenario_digest == pp.generate(scenario, seed=1).scenario_digest == pp.generate(path, seed=1).scenario_digest
    assert by_setting.scenario_digest != pp.generate("email", seed=1).scenario_digest
    assert pp.generate({"extends": "email", "population": {"users": 3}}, seed=1).num_users == 3
    command("check", path)
    command("generate", path, "--users", 10, "--seed", 4, "-q", "-o", tmp_path / "cli")
    pp.generate(scenario, users=10, seed=4).write(tmp_path / "python")
    assert files(tmp_path / "python") == files(tmp_path / "cli")


def test_options_are_those_of_the_command(tmp_path, command):
    options = [
        (dict(users=20, days=10, start=datetime.date(2025, 3, 1), paid_ratio=0.5, churn_base_rate=0.4, latent=False), "churn"),
        (dict(users=20, target_churn_rate=0.3), "churn"),
        (dict(users=20, workflow="simple", cascade_failure_rate=0.5), "traces"),
        (dict(users=5, profile="dense", count=100, tables=["events"]), "email"),
        (dict(users=5, truth=False), "email"),
        (dict(users=5, policy="uniform"), "email"),
    ]
    for number, (given, scenario) in enumerate(options):
        arguments = []
        for key, value in given.items():
            name = {"latent": "no-latent", "truth": "no-truth", "tables": "table"}.get(key, key.replace("_", "-"))
            arguments += [f"--{name}"] if value is False else [f"--{name}={value[0] if isinstance(value, list) else value}"]
        command("generate", scenario, *arguments, "--seed", 6, "-q", "-o", tmp_path / f"cli{number}")
        pp.generate(scenario, seed=6, **given).write(tmp_path / f"python{number}")
        assert files(tmp_path / f"python{number}") == files(tmp_path / f"cli{number}")
        assert digests(pp.open(tmp_path / f"python{number}").directory) == digests(tmp_path / f"cli{number}")


def test_a_run_by_the_names_of_a_provider_is_read_back_and_not_analysed(tmp_path, command):
    command("generate", "email", "--users=5", "--names=sendgrid", "--seed", 6, "-q", "-o", tmp_path / "cli")
    run = pp.generate("email", users=5, names="sendgrid", seed=6)
    written = run.write(tmp_path / "python")
    assert digests(written.directory) == digests(tmp_path / "cli") and written == run == pp.open(tmp_path / "cli")
    assert written.events.to_arrow().equals(run.events.to_arrow())
    assert "processed" in set(run.events["event_type"]) or "open" in set(run.events["event_type"])
    for analysis in (pp.verify, pp.recover, pp.report):
        for one in (written, run):
            with pytest.raises(pp.InputError, match="names of sendgrid; a run is analysed by the names of Populace"):
                analysis(one)


def test_notebooks_show_runs_and_tables():
    run = pp.generate("email", users=5, seed=1)
    assert "<table>" in run._repr_html_() and "events" in run._repr_html_()
    assert "synth_user_01000" in run.events._repr_html_()
    assert "night_owl" in pp.Scenario.load("email")._repr_html_()


def test_documentation_is_there():
    for name in pp.__all__:
        thing = getattr(pp, name)
        assert inspect.getdoc(thing), name
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not member.startswith("_") and callable(value):
                assert inspect.getdoc(value), f"{name}.{member}"


def test_import_is_quick():
    # CPU time, which other work on the machine leaves alone.
    script = "import time; start = time.process_time(); import populace; print(time.process_time() - start)"
    took = [float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout) for _ in range(5)]
    assert min(took) < 0.05, took
