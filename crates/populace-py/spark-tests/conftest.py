"""A cluster of two workers, each a process of its own, and runs of one machine to hold it against."""

import os
import sys

import pytest

import populace as pp

os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")

from pyspark.sql import SparkSession

SEED = 7
USERS = {"email": 60, "traces": 150, "churn": 90}


def pytest_configure(config):
    config.addinivalue_line("markers", "long: left out by `spark-check --short`")


@pytest.fixture(scope="session")
def spark():
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.executor.memory": "600m",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "America/New_York",
        # Off by default: what the tests of filters turn on.
        "spark.sql.python.filterPushdown.enabled": "false",
    }
    builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName("populace")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    if session.version >= "4":
        from populace.spark import PopulaceDataSource

        session.dataSource.register(PopulaceDataSource)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def read(spark):
    """Reads a table through the data source."""

    def load(scenario, schema=None, **options):
        reader = spark.read.format("populace").option("scenario", scenario)
        for name, value in {"users": USERS.get(scenario), "seed": SEED, **options}.items():
            if value is not None:
                reader = reader.option(name, value)
        return (reader if schema is None else reader.schema(schema)).load()

    return load


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """What the manifest of a run of one machine says of its tables: rows and digest."""
    known = {}

    def tables(scenario, **options):
        key = (scenario, tuple(options.items()))
        if key not in known:
            run = pp.generate(scenario, **{"users": USERS[scenario], "seed": SEED, **options})
            written = run.write(tmp_path_factory.mktemp(scenario) / "run").manifest["tables"]
            known[key] = {path: (table["rows"], table["digest"]) for path, table in written.items()}
        return known[key]

    return tables
