"""The helpers for every Spark since 3.5: parts as rows of a frame."""

import pytest
from conftest import SEED, USERS

import populace as pp
from populace.spark import Portions, digest


@pytest.mark.long
@pytest.mark.parametrize(("scenario", "table"), [("email", "events"), ("traces", "truth/calls"), ("churn", "events"), ("traces", "truth/entries")])
def test_a_frame_of_parts_has_the_rows_of_one_machine(spark, machine, scenario, table):
    parts = Portions(scenario, users=USERS[scenario], seed=SEED, table=table, partitions=5)
    assert len(parts) == (1 if table == "truth/entries" else 5)
    frame = parts.frame(spark)
    assert frame.rdd.getNumPartitions() == len(parts)
    assert digest(frame, scenario, table) == machine(scenario)[table]


def test_parts_may_come_in_any_order_and_place(spark, machine):
    parts = Portions("churn", users=USERS["churn"], seed=SEED, partitions=7)
    numbers = spark.createDataFrame([(part,) for part in (3, 0, 6, 1, 5, 2, 4)], "part long").repartition(3)
    assert digest(numbers.mapInArrow(parts.map, parts.schema), "churn") == machine("churn")["events"]


@pytest.mark.long
def test_groups(spark, machine):
    if spark.version < "4":
        pytest.skip("applyInArrow of groups came with Spark 4")
    parts = Portions("email", users=USERS["email"], seed=SEED, partitions=4)
    numbers = spark.range(4).withColumnRenamed("id", "part")
    assert digest(numbers.groupBy("part").applyInArrow(parts.apply, parts.schema), "email") == machine("email")["events"]


@pytest.mark.long
def test_columns_of_parts(spark):
    parts = Portions("email", users=9, seed=SEED, partitions=2, columns=["recipient_id"], set={"personas.night_owl.open_rate": 0.5})
    assert parts.frame(spark).distinct().count() == 9


def test_a_wrong_option_is_told():
    with pytest.raises(pp.InputError, match="option partition: is unknown"):
        Portions("email", seed=1, partition=3)
    with pytest.raises(pp.InputError, match="option seed: the scenario has no seed"):
        Portions("email")
