"""Frames: the same types wherever a run is, that can be exported, filtered and joined by every library."""

import datetime
import io
import json
import sqlite3

import pytest
from conftest import digests

import populace as pp

pa, pandas, polars = map(pytest.importorskip, ("pyarrow", "pandas", "polars"))
SCENARIOS = [("email", 10), ("traces", 60), ("churn", 20)]


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda pair: pair[0])
def runs(request, tmp_path_factory):
    """A run, generated, and opened from each format and each type of ids."""
    scenario, users = request.param
    run = pp.generate(scenario, users=users, seed=3)
    root = tmp_path_factory.mktemp(scenario)
    ways = [("csv", None), ("jsonl", None), *((format, ids) for format in ("parquet", "arrow") for ids in ("text", "uuid", "binary"))]
    return [run, *(run.write(root / f"{format}-{ids}", format=format, ids=ids) for format, ids in ways)]


def ids(table):
    """The columns of UUIDs."""
    return [column.name for column in table.columns if column.type == "UUID"]


def test_types_do_not_depend_on_where_the_run_is(runs):
    generated, *opened = runs
    for path, table in generated.tables.items():
        for text in ("str", "category"):
            frame = table.to_pandas(text=text)
            schema, own = table.to_polars(text=text).schema, table.to_arrow(text=text).schema
            for run in opened[::3]:
                pandas.testing.assert_frame_equal(run[path].to_pandas(text=text), frame, check_categorical=False)
                assert run[path].to_polars(text=text).schema == schema and run[path].to_arrow(text=text).schema == own
    assert all(pp.verify(run).ok for run in opened[1:3])
    assert all(digests(run.directory) == digests(opened[0].directory) for run in opened)


def test_ids_are_what_they_are_asked_to_be(runs):
    for run in runs:
        for table in run.tables.values():
            wanted = {"text": pa.string(), "uuid": pa.uuid() if hasattr(pa, "uuid") else None, "binary": pa.binary(16)}
            for kind, expected in wanted.items():
                schema, batch = table.to_arrow(ids=kind).schema, next(table.batches(ids=kind), None)
                for name in ids(table):
                    assert expected is None or schema.field(name).type == expected
                    assert batch is None or pa.schema(batch).field(name).type == schema.field(name).type


def test_files_hold_ids_as_asked(tmp_path, command):
    pq = pytest.importorskip("pyarrow.parquet")
    run = pp.generate("traces", users=10, seed=3)
    expected = {"text": pa.string(), "binary": pa.binary(16)}
    for kind in ("text", "uuid", "binary"):
        run.write(tmp_path / kind, format="parquet", ids=kind)
        command("generate", "traces", "--users", 10, "--seed", 3, "-f", "parquet", "--ids", kind, "-q", "-o", tmp_path / f"{kind}-command")
        assert (tmp_path / kind / "calls.parquet").read_bytes() == (tmp_path / f"{kind}-command/calls.parquet").read_bytes()
        held = pq.read_schema(tmp_path / kind / "calls.parquet").field("call_id").type
        assert held == expected.get(kind, held) and (kind != "uuid" or held not in expected.values() or not hasattr(pa, "uuid"))
        with pa.ipc.open_file(run.write(tmp_path / f"{kind}-arrow", format="arrow", ids=kind).directory + "/calls.arrow") as file:
            assert file.schema.field("call_id").type == held
    compact = pq.ParquetFile(run.to_parquet(tmp_path / "compact", parquet="compact", ids="text").directory + "/calls.parquet")
    assert compact.schema_arrow.field("call_id").type == pa.string()
    for format in ("csv", "jsonl"):
        with pytest.raises(pp.InputError, match=f"^ids uuid: in {format} files ids are text"):
            run.write(tmp_path / "never", format=format, ids="uuid")
    told = command("generate", "traces", "-f", "csv", "--ids", "binary", "-o", tmp_path / "never", check=False)
    assert told.returncode == 2 and "--ids binary" in told.stderr and not (tmp_path / "never").exists()


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda pair: pair[0])
def run(request):
    return pp.generate(request.param[0], users=request.param[1], seed=3, **({"cascade_failure_rate": 0.5} if request.param[0] == "traces" else {}))


def test_pandas_exports_filters_and_joins(run):
    for table in run.tables.values():
        for text in ("str", "category"):
            frame = table.to_pandas(text=text)
            assert len(frame) == len(table) and list(frame) == table.column_names
            assert pandas.read_csv(io.StringIO(frame.to_csv(index=False))).shape == frame.shape
            assert len(json.loads(frame.to_json(orient="records", date_format="iso"))) == len(frame)
            frame.to_parquet(io.BytesIO())
            for name in ids(table):
                value = frame[name].dropna().iloc[0]
                assert isinstance(value, str) and len(value) == 36 and (frame[name] == value).sum() >= 1
                assert len(frame[frame[name].notna()].merge(frame[[name]].dropna().drop_duplicates(), on=name)) == frame[name].notna().sum()
            with sqlite3.connect(":memory:") as database:
                frame.astype({name: str for name in frame.columns if str(frame[name].dtype) == "category"}).to_sql("t", database, index=False)
                assert database.execute("select count(*) from t").fetchone() == (len(frame),)


def test_polars_exports_filters_and_joins(run):
    for table in run.tables.values():
        frame = table.to_polars()
        assert frame.equals(table.lazy().collect()) and frame.height == len(table)
        assert polars.read_csv(io.BytesIO(frame.write_csv().encode()), infer_schema_length=None).height == frame.height
        frame.write_ndjson(io.BytesIO())
        frame.write_parquet(io.BytesIO())
        for name in ids(table):
            value = frame[name].drop_nulls()[0]
            assert table.lazy().filter(polars.col(name) == value).select(polars.len()).collect().item() >= 1
            assert frame.join(frame.select(name).unique(), on=name).height == frame[name].count()


def test_lazy_takes_what_the_query_needs(run):
    table = next(iter(run.tables.values()))
    some = table.column_names[:2]
    assert table.lazy().select(some[1]).head(7).collect().equals(table.to_polars().select(some[1]).head(7))
    assert table.lazy().filter(polars.lit(False)).collect().schema == table.to_polars().schema


def test_duckdb_exports_filters_and_joins(run, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    for number, table in enumerate(run.tables.values()):
        rows = table.to_arrow()
        assert duckdb.sql("select count(*) from rows").fetchall() == [(len(table),)]
        for format in ("csv", "json", "parquet"):
            duckdb.sql(f"copy (select * from rows) to '{tmp_path}/{number}.{format}'")
            assert duckdb.sql(f"select count(*) from '{tmp_path}/{number}.{format}'").fetchall() == [(len(table),)]
        for name in ids(table):
            value = rows[name].drop_null()[0].as_py()
            assert duckdb.sql(f"select count(*) from rows where {name} = '{value}'").fetchall()[0][0] >= 1
            joined = duckdb.sql(f"select count(*) from rows join (select distinct {name} from rows) using ({name})").fetchall()[0][0]
            assert joined == len(rows) - rows[name].null_count


def test_one_table_in_one_file(run, tmp_path):
    for number, table in enumerate(run.tables.values()):
        frame = table.to_pandas()
        table.to_parquet(tmp_path / f"{number}.parquet")
        table.to_csv(tmp_path / f"{number}.csv")
        assert pa.parquet.read_table(tmp_path / f"{number}.parquet").to_pylist() == table.to_arrow().to_pylist()
        assert len(pandas.read_csv(tmp_path / f"{number}.csv")) == len(frame)
    assert len(list(tmp_path.iterdir())) == 2 * len(run.tables)
    first = next(iter(run.tables.values()))
    name = first.column_names[0]
    first[[name]].to_csv(tmp_path / "one.csv")
    assert list(pandas.read_csv(tmp_path / "one.csv")) == [name]
    with pytest.raises(pp.FileError, match="nowhere"):
        first.to_csv("/nowhere/one.csv")


def test_truth_joins_the_data_set_of_the_traces_interface():
    from populace.traces import SyntheticGenerator

    dataset = SyntheticGenerator(seed=42).generate_dataset(num_users=20, cascade_failure_rate=0.5)
    run = pp.generate("traces", users=20, seed=3)
    assert {len(call.call_id) for session in dataset.sessions for call in session.calls} == {36}
    assert len(run.calls.to_pandas().merge(run.truth.calls.to_pandas(), on="call_id")) == len(run.calls)


def test_types_in_pandas_surprise_nobody():
    run = pp.generate("email", users=20, seed=3)
    frame = run.events.to_pandas()
    assert (frame.timestamp > pandas.Timestamp("2026-01-01", tz="UTC")).any()
    assert frame.hour_of_day.dtype == "Int16" and frame.latency_seconds.dtype == "float64"
    assert len(frame.groupby(["event_type", "recipient_id"]).size()) <= 20 * frame.event_type.nunique()
    assert run.events.to_pandas(integers="numpy").hour_of_day.dtype == "float64"
    assert str(run.events.to_pandas(text="category").event_type.dtype) == "category"
    users = pp.generate("churn", users=20, seed=3).users.to_pandas()
    assert (users.signup_date < pandas.Timestamp("2026-01-01")).all() and users.user_id.dtype == "int64"
    dates = pp.generate("churn", users=20, seed=3).users.to_pandas(dates="object")
    assert isinstance(dates.signup_date.iloc[0], datetime.date)
    for wrong in (dict(ids="uid"), dict(text="string"), dict(dates="date"), dict(integers="Int64")):
        with pytest.raises(pp.InputError, match=f"^{next(iter(wrong))}: must be one of"):
            run.events.to_pandas(**wrong)


def test_tables_say_what_to_call():
    numpy = pytest.importorskip("numpy")
    events = pp.generate("email", users=5, days=20, seed=3).events
    for wrong in (lambda: pandas.DataFrame(events), lambda: numpy.asarray(events), lambda: events[:5], lambda: events[3], lambda: events[events["esp"] == "x"]):
        with pytest.raises(TypeError, match="to_pandas"):
            wrong()
    with pytest.raises(KeyError, match="did you mean 'esp'"):
        events["eps"]
    assert list(events["event_type"]) == list(events.to_pandas().event_type)
    assert events[["esp", "event_id"]].column_names == ["esp", "event_id"] == events[["esp", "event_id"]].schema.names
    assert "esp" in events and "eps" not in events and len(events) == events.count() and bool(events)
    assert events == pp.generate("email", users=5, days=20, seed=3).events != events[["esp"]]


def test_samples_are_of_all_rows_alike():
    events = pp.generate("churn", users=40, seed=3).events[["user_id", "event_type"]]
    whole = events.to_pandas()
    some = events.sample(500, seed=1)
    pandas.testing.assert_frame_equal(some, events.sample(500, seed=1))
    assert not some.equals(events.sample(500, seed=2)) and len(some) == 500 and some.user_id.is_monotonic_increasing
    # 500 of N without putting back: each user's rows within 5 standard deviations of their share.
    share = whole.user_id.value_counts() / len(whole)
    found = some.user_id.value_counts().reindex(share.index, fill_value=0)
    assert ((found - 500 * share).abs() < 5 * (500 * share).pow(0.5) + 1).all()
    assert events.sample(10**6).equals(whole) and events.sample(0).empty and list(events.sample(0)) == list(whole)


def test_runs_behave_as_mappings_of_tables():
    run = pp.generate("email", users=5, seed=3)
    assert list(run) == list(run.tables) == run._ipython_key_completions_() and "truth/users" in run and "user" not in run
    assert "users" in run.truth and list(run.truth) == ["users", "user_rates", "messages", "timing"] and run.truth["users"] == run["truth/users"]
    assert "events" in dir(run) and "messages" in dir(run.truth) and "<table>" in run.truth._repr_html_()
    with pytest.raises(KeyError, match="did you mean 'events'"):
        run["event"]
    with pytest.raises(AttributeError, match="did you mean 'events'"):
        run.event


def test_spark_filters_and_joins(run, tmp_path):
    sql = pytest.importorskip("pyspark.sql", reason="spark-check runs it, with Spark")
    session = sql.SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC").config("spark.ui.enabled", "false").getOrCreate()
    opened = run.write(tmp_path / "run", format="parquet")
    for table in run.tables.values():
        frame = session.read.parquet(f"{opened.directory}/{table.path}.parquet")
        assert frame.count() == len(table)
        frame.write.json(str(tmp_path / f"{table.name}-{table.truth}.json"))
        for name in ids(table):
            value = table.to_arrow()[name].drop_null()[0].as_py()
            assert frame.where(f"{name} = '{value}'").count() >= 1
            assert frame.join(frame.select(name).distinct(), name).count() == frame.where(f"{name} is not null").count()


def test_frames_take_little_longer_than_the_conversion_of_pyarrow():
    import time

    events = pp.generate("email", users=350, seed=1).events
    events.to_pandas(), pa.table(events).to_pandas()

    def seconds(work):
        start = time.process_time()
        work()
        return time.process_time() - start

    # CPU time, of which other work on the machine takes nothing; each the least of five.
    ours, theirs = (min(seconds(work) for _ in range(5)) for work in (events.to_pandas, lambda: pa.table(events).to_pandas()))
    assert ours < 1.5 * theirs, (ours, theirs)
