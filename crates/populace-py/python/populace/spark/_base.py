"""What is used of Spark's interface for data sources: that of the installed Spark, and for type checkers, who may have none, its types."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    import pyarrow as pa
    from pyspark.sql.types import StructType

    class InputPartition:
        value: Any

        def __init__(self, value: Any) -> None: ...

    class Filter:
        value: Any

    class DataSourceReader:
        def partitions(self) -> list[InputPartition]: ...
        def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]: ...
        def pushFilters(self, filters: list[Filter]) -> Iterable[Filter]: ...

    class DataSource:
        options: dict[str, str]

        def __init__(self, options: dict[str, str]) -> None: ...
        @classmethod
        def name(cls) -> str: ...
        def schema(self) -> StructType | str: ...
        def reader(self, schema: StructType) -> DataSourceReader: ...

else:
    from pyspark.sql import datasource
    from pyspark.sql.datasource import DataSource as DataSource, DataSourceReader as DataSourceReader, InputPartition as InputPartition

    Filter = getattr(datasource, "Filter", None)
