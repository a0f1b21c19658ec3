"""The data source of Spark 4: the rows of one machine, whatever makes them."""

import datetime
import os
import signal
import threading
import time
import uuid
from pathlib import Path

import pytest

pytest.importorskip("pyspark", minversion="4.1")

from conftest import SEED, USERS
from pyspark.errors import PySparkException
from pyspark.sql import datasource, functions

import populace as pp
from populace.spark import digest
from populace.spark._portions import Plan
from populace.spark._source import FilteredReader

MAIN = {"email": "events", "traces": "calls", "churn": "events"}
TABLES = [(scenario, path) for scenario, users in USERS.items() for path in pp.generate(scenario, users=users, seed=SEED).tables]


@pytest.mark.long
@pytest.mark.parametrize(("scenario", "table"), TABLES)
def test_every_table_has_the_rows_of_one_machine(read, machine, scenario, table):
    frame = read(scenario, table=table, partitions=4)
    assert digest(frame, scenario, table) == machine(scenario)[table]


@pytest.mark.parametrize(("scenario", "partitions"), [("email", 1), ("email", 11), ("traces", 3), ("churn", 2), ("churn", 13)])
def test_no_number_of_partitions_changes_the_rows(read, machine, scenario, partitions):
    assert digest(read(scenario, partitions=partitions), scenario) == machine(scenario)[MAIN[scenario]]


@pytest.mark.long
def test_more_partitions_than_users(read, machine):
    frame = read("churn", users=3, partitions=8)
    assert digest(frame, "churn") == machine("churn", users=3)["events"]


@pytest.mark.long
def test_a_partition_is_a_part_of_the_command_line(read, tmp_path):
    run = pp.generate("churn", users=90, seed=SEED).write(tmp_path / "parts", parts=3)
    parts = [file["rows"] for file in run.manifest["tables"]["events"]["files"]]
    found = dict(read("churn", partitions=3).rdd.mapPartitionsWithIndex(lambda part, rows: [(part, sum(1 for _ in rows))]).collect())
    assert [found[part] for part in range(3)] == parts


@pytest.mark.long
def test_rows_are_numbered_without_a_gap_where_that_is_asked_for(read, machine):
    rows, _ = machine("churn")["events"]
    frame = read("churn", partitions=5, columns="event_id", **{"set.event_ids": "sequential"})
    numbers = [row[0] for row in frame.collect()]
    assert sorted(numbers) == list(range(1, rows + 1))


@pytest.mark.long
@pytest.mark.parametrize(("scenario", "table"), [("email", "events"), ("churn", "events"), ("email", "truth/user_rates")])
def test_values_are_those_of_the_library(read, scenario, table):
    own = pp.generate(scenario, users=5, seed=SEED)[table].to_arrow()
    found = read(scenario, users=5, table=table).toArrow()
    assert found.column_names == own.column_names
    for name in own.column_names:
        assert list(map(plain, found.column(name).to_pylist())) == list(map(plain, own.column(name).to_pylist())), name


def plain(value):
    """A value whatever its zone, and a UUID as text."""
    if isinstance(value, uuid.UUID):
        return str(value)
    return value.timestamp() if isinstance(value, datetime.datetime) else value


def test_types_are_sparks(read):
    assert read("churn").schema.simpleString() == (
        "struct<event_id:bigint,user_id:bigint,event_time:timestamp,event_type:string,course_id:string,"
        "watch_minutes:double,quiz_score:double,amount:double>"
    )
    fields = {field.name: (field.dataType.simpleString(), field.nullable) for field in read("email").schema}
    assert fields["event_id"] == ("string", False) and fields["message_id"] == ("string", True)
    assert fields["hour_of_day"] == ("smallint", True) and fields["payload_size_bytes"] == ("int", True)


@pytest.mark.long
def test_columns_alone(read):
    whole = read("email", partitions=2)
    some = read("email", partitions=2, columns="timestamp, event_type")
    assert some.columns == ["timestamp", "event_type"]
    assert some.exceptAll(whole.select("timestamp", "event_type")).isEmpty() and some.count() == whole.count()
    other = read("email", schema="event_id binary, recipient_id string", partitions=2)
    assert {row[0].hex() for row in other.select("event_id").collect()} == {row[0].replace("-", "") for row in whole.select("event_id").collect()}


@pytest.mark.long
def test_users_alone(read):
    whole, some = read("churn"), read("churn", actors="10:20", partitions=2)
    assert sorted(some.collect()) == sorted(whole.where("user_id between 11 and 20").collect())


CONDITIONS = [
    ("churn", "user_id = 40", [datasource.EqualTo(("user_id",), 40)], [(39, 40)]),
    ("churn", None, [datasource.EqualTo(("user_id",), 91)], []),
    ("churn", None, [datasource.EqualTo(("user_id",), None)], []),
    ("churn", "user_id > 30 and user_id <= 50", [datasource.GreaterThan(("user_id",), 30), datasource.LessThanOrEqual(("user_id",), 50)], [(30, 50)]),
    ("churn", None, [datasource.GreaterThanOrEqual(("user_id",), -5), datasource.LessThan(("user_id",), 3)], [(0, 2)]),
    ("churn", None, [datasource.GreaterThan(("user_id",), 90)], []),
    ("churn", None, [datasource.LessThan(("user_id",), 1)], []),
    ("churn", None, [datasource.LessThanOrEqual(("user_id",), 0)], []),
    ("churn", None, [datasource.In(("user_id",), (77, 3, 4, 1000, None))], [(2, 3), (3, 4), (76, 77)]),
    ("churn", None, [datasource.In(("user_id",), tuple(range(1, 90)))], [(0, 89)]),
    ("churn", None, [datasource.Not(datasource.EqualTo(("user_id",), 5))], [(0, 90)]),
    ("churn", None, [datasource.EqualTo(("event_type",), "login"), datasource.IsNotNull(("user_id",))], [(0, 90)]),
    ("email", "recipient_id = 'synth_user_01017'", [datasource.EqualTo(("recipient_id",), "synth_user_01017")], [(17, 18)]),
    ("email", None, [datasource.In(("recipient_id",), ("synth_user_01017", "synth_user_1017", "nobody"))], [(17, 18)]),
    ("email", None, [datasource.GreaterThan(("recipient_id",), "synth_user_01050")], [(0, 60)]),
    ("traces", None, [datasource.EqualNullSafe(("user_id",), "user_100")], [(99, 100)]),
]


@pytest.mark.parametrize(("scenario", "conditions", "spans"), [(scenario, conditions, spans) for scenario, _, conditions, spans in CONDITIONS])
def test_filters_on_users_leave_users_out(scenario, conditions, spans):
    plan = Plan({"scenario": scenario, "users": USERS[scenario], "seed": SEED, "partitions": 45})
    recipe = plan.recipe(plan.schema)
    reader = FilteredReader(plan, recipe)
    assert reader.pushFilters(conditions) == conditions, "Spark filters the rows as well"
    assert plan.spans == spans
    # What is made has the numbers that it has in the whole table.
    whole = {row["event_id"]: row for row in pp.generate("churn", users=USERS["churn"], seed=SEED).events.to_arrow().to_pylist()}
    if scenario == "churn":
        parts = reader.partitions()
        assert len(parts) == min(45, max(1, sum(stop - start for start, stop in spans)))
        rows = [row for part in parts for batch in reader.read(part) for row in batch.to_pylist()]
        assert all(plain(whole[row["event_id"]]["event_time"]) == plain(row["event_time"]) for row in rows)
        expected = [row for row in whole.values() if any(start < row["user_id"] <= stop for start, stop in spans)]
        assert len(rows) == len(expected)


def test_filters_reach_the_reader(read, spark):
    for scenario, condition, _, spans in CONDITIONS:
        if condition is None:
            continue
        spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
        try:
            frame = read(scenario, partitions=45).where(condition)
            assert frame.rdd.getNumPartitions() == sum(stop - start for start, stop in spans)
            found = frame.collect()
        finally:
            spark.conf.set("spark.sql.python.filterPushdown.enabled", "false")
        assert found and found == read(scenario, partitions=1).where(condition).collect()


def test_settings_reach_the_scenario(read, tmp_path):
    path, asked = "personas.night_owl.open_rate", {"scenario": "email", "users": "60", "days": "20", "seed": str(SEED)}
    one = pp.generate("email", users=60, seed=SEED, days=20, set={path: 0.5}).write(tmp_path / "run")
    file = tmp_path / "mine.yaml"
    one.scenario.to_yaml(file)
    for options in [
        {**asked, f"set.{path}": ".5"},
        {**asked, "set": f'{{"{path}": 0.5}}'},
        {"scenario": str(file), "seed": "0"},
        {"scenario": file.read_text(), "seed": "0"},
    ]:
        assert Plan(options).native.scenario_digest == one.scenario_digest
    expected = one.manifest["tables"]["events"]
    frame = read("email", days=20, partitions=3, **{f"set.{path}": ".5"})
    assert digest(frame, "email") == (expected["rows"], expected["digest"])
    frame = read(str(file), users=None, partitions=2)
    # Tasks need no file: what was read when the query was planned goes to them.
    assert digest(frame, "email") == (expected["rows"], expected["digest"])


@pytest.mark.long
def test_a_scenario_with_its_own_seed_needs_no_other(read, tmp_path):
    file = tmp_path / "seeded.yaml"
    file.write_text("version: 1\nscenario: churn\nextends: churn\nname: seeded\nseed: 5\npopulation: {users: 20}\n")
    assert read(str(file), users=None, seed=None).count() == pp.generate(file).events.count()


@pytest.mark.long
def test_sql(spark, machine):
    spark.sql(f"create or replace temporary view calls using populace options (scenario 'traces', users {USERS['traces']}, seed {SEED})")
    assert spark.sql("select count(*) from calls").first()[0] == machine("traces")["calls"][0]


@pytest.mark.long
def test_written_files_hold_the_rows(read, spark, machine, tmp_path):
    read("email", partitions=3).write.parquet(str(tmp_path / "events"))
    assert digest(spark.read.parquet(str(tmp_path / "events")), "email") == machine("email")["events"]


@pytest.mark.long
def test_the_digest_sees_a_change_of_one_value(read, machine):
    frame = read("churn", partitions=2)
    rows, whole = machine("churn")["events"]
    changed = frame.withColumn("event_type", functions.when(frame.event_id == 5, "login!").otherwise(frame.event_type))
    assert digest(changed, "churn") == (rows, digest(changed, "churn")[1]) and digest(changed, "churn")[1] != whole
    assert digest(frame.where("event_id <> 5"), "churn")[0] == rows - 1


def executors(spark):
    """The processes of the cluster's executors."""
    driver = spark._jvm.java.lang.ProcessHandle.current().pid()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == driver and b"CoarseGrainedExecutorBackend" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_a_worker_that_is_killed_changes_nothing(read, spark, machine):
    # Some tenth of a second each, so that the job is far from its end when the worker goes.
    frame, result = read("churn", partitions=80), []
    before = executors(spark)
    assert len(before) == 2
    job = threading.Thread(target=lambda: result.append(digest(frame, "churn")))
    job.start()
    tracker, done = spark.sparkContext.statusTracker(), 0
    deadline = time.monotonic() + 60
    while done < 5 and time.monotonic() < deadline:
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        done = max((stage.numCompletedTasks for stage in stages if stage), default=0)
        time.sleep(0.01)
    assert 5 <= done < 60 and not result
    os.kill(before[0], signal.SIGKILL)
    job.join(120)
    assert result == [machine("churn")["events"]]
    # Another worker process has taken its place, or is about to.
    while len(executors(spark)) < 2 and time.monotonic() < deadline + 60:
        time.sleep(0.1)
    assert before[0] not in executors(spark) and len(executors(spark)) == 2


ERRORS = [
    ({"usres": 3}, "option usres: is unknown; there are scenario, table"),
    ({"scenario": "emial"}, "emial"),
    ({"scenario": ""}, "option scenario: is missing; give email"),
    ({"seed": None}, "option seed: the scenario has no seed of its own"),
    ({"seed": -1}, "option seed: must be from 0 to"),
    ({"users": "many"}, "option users: must be an integer, got 'many'"),
    ({"users": 0}, "population.users"),
    ({"table": "event"}, "option table: there is no table event; there are events"),
    ({"partitions": 0}, "option partitions: must be from 1 to 100,000, got 0"),
    ({"columns": "timestamp,tmestamp"}, "option columns: events has no column tmestamp; there are event_id"),
    ({"columns": "timestamp,timestamp"}, "option columns: names a column twice"),
    ({"actors": "5"}, "option actors: must be START:STOP"),
    ({"actors": "50:70"}, "option actors: there are users 0 to 59, got 50:70"),
    ({"latent": "maybe"}, "option latent: must be true or false, got 'maybe'"),
    ({"churn_base_rate": "nan"}, "option churn_base_rate: must be a finite number"),
    ({"set": "[1]"}, "option set: must be a JSON object"),
    ({"set.personas.night_owl.open_rate": "7"}, "personas.night_owl.open_rate"),
    ({"set.personas.night_owl.open_rates": ".7"}, "unknown key"),
]


@pytest.mark.parametrize(("options", "message"), ERRORS)
def test_what_is_wrong_is_told(options, message):
    with pytest.raises(pp.InputError) as raised:
        Plan({"scenario": "email", "users": "60", "seed": "7", **options})
    assert message in str(raised.value)


def test_spark_tells_what_is_wrong_when_the_table_is_loaded(read):
    with pytest.raises(PySparkException, match="option usres: is unknown; there are scenario, table"):
        read("email", usres=3)


def test_a_schema_of_other_columns_is_refused(read):
    for schema, message in [("timestamp string", "column timestamp: is timestamp, not string"), ("when timestamp", "there is no such column")]:
        with pytest.raises(PySparkException, match=message):
            read("email", schema=schema).count()


def test_executors_of_another_version_are_refused():
    plan = Plan({"scenario": "churn", "users": 5, "seed": 1})
    recipe = plan.recipe(plan.schema)
    with pytest.raises(pp.PopulaceError, match="is installed here and 0.0.0 on the driver"):
        recipe._replace(version="0.0.0").run()
