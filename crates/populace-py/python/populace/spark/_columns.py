"""Columns as Spark takes them: text without dictionaries, moments in microseconds, UUIDs as text or bytes."""

from __future__ import annotations

import numpy
import pyarrow as pa
from pyspark.sql import types

from populace._errors import InputError, PopulaceError

# Two bytes, as they lie in memory, to their four digits.
_HEX = numpy.frombuffer(b"".join(b"%02x%02x" % (pair & 255, pair >> 8) for pair in range(1 << 16)), dtype=numpy.uint32)
_DIGITS = numpy.dtype([("0", "V8"), ("1", "V4"), ("2", "V4"), ("3", "V4"), ("4", "V12")])
_TEXT = numpy.dtype([("0", "V8"), ("-0", "u1"), ("1", "V4"), ("-1", "u1"), ("2", "V4"), ("-2", "u1"), ("3", "V4"), ("-3", "u1"), ("4", "V12")])
_PLAIN = [
    (pa.bool_(), types.BooleanType()),
    (pa.int16(), types.ShortType()),
    (pa.int32(), types.IntegerType()),
    (pa.int64(), types.LongType()),
    (pa.float64(), types.DoubleType()),
    (pa.date32(), types.DateType()),
    (pa.string(), types.StringType()),
    (pa.timestamp("us", tz="UTC"), types.TimestampType()),
]


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _is_uuid(kind: pa.DataType) -> bool:
    return bool(_storage(kind).equals(pa.binary(16)))


def _spark_type(field: pa.Field) -> types.DataType:
    """What Spark calls the type of a column. It has no UUIDs: they are text of 36 characters."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if _is_uuid(kind):
        return types.StringType()
    for arrow, spark in _PLAIN:
        if kind.equals(arrow):
            return spark
    raise PopulaceError(f"Spark has no type for the column {field.name} of {field.type}")


def struct(schema: pa.Schema) -> types.StructType:
    """The schema of a table for Spark."""
    return types.StructType([types.StructField(field.name, _spark_type(field), field.nullable) for field in schema])


def chosen(whole: pa.Schema, wanted: types.StructType) -> pa.Schema:
    """The Arrow schema of the columns that are wanted, as Spark expects it.

    A UUID may be wanted as binary. Raises `InputError` for a column that the table lacks or that is of another type.
    """
    fields = []
    for field in wanted.fields:
        if field.name not in whole.names:
            raise InputError(f"column {field.name}: there is no such column; there are {', '.join(whole.names)}")
        own = whole.field(field.name)
        kind = _spark_type(own)
        if _is_uuid(own.type) and isinstance(field.dataType, types.BinaryType):
            arrow = pa.binary()
        elif field.dataType == kind:
            arrow = next(arrow for arrow, spark in _PLAIN if spark == kind)
        else:
            raise InputError(f"column {field.name}: is {kind.simpleString()}, not {field.dataType.simpleString()}")
        fields.append(pa.field(field.name, arrow, field.nullable))
    if not fields:
        raise InputError("no column is wanted")
    return pa.schema(fields)


def _uuid_text(column: pa.Array) -> pa.Array:
    """The 36 characters of UUIDs."""
    rows = len(column)
    pairs = numpy.frombuffer(column.buffers()[1], dtype=numpy.uint16, count=8 * rows, offset=16 * column.offset)
    digits = _HEX.take(pairs).view(_DIGITS)
    text = numpy.empty(rows, dtype=_TEXT)
    for name in _TEXT.names or ():
        text[name] = ord("-") if name.startswith("-") else digits[name]
    offsets = numpy.arange(0, 36 * (rows + 1), 36, dtype=numpy.int32)
    valid = column.is_valid().buffers()[1] if column.null_count else None
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text), valid, column.null_count)


def _column(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if _is_uuid(column.type):
        return column.cast(kind) if pa.types.is_binary(kind) else _uuid_text(column)
    return column if column.type.equals(kind) else column.cast(kind)


def converted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of `schema` from a batch of the engine."""
    return pa.RecordBatch.from_arrays([_column(batch.column(field.name), field.type) for field in schema], schema=schema)



def plain(schema: pa.Schema) -> pa.Schema:
    """The schema with text as text and UUIDs as bytes."""

    def kind(field: pa.Field) -> pa.DataType:
        return field.type.value_type if pa.types.is_dictionary(field.type) else _storage(field.type)

    return pa.schema([pa.field(field.name, kind(field), field.nullable) for field in schema])
