"""What the vectorised baselines share: Arrow columns from NumPy arrays, table writers, and their command line."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

import common

FORMATS = ("arrow", "csv", "parquet")
Tables = dict[str, pa.RecordBatch]

_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), dtype="<u2")
_HYPHENS = (8, 13, 18, 23)
_HEX_AT = [i for i in range(36) if i not in _HYPHENS]
_TWO = np.frombuffer("".join(f"{i:02}" for i in range(60)).encode(), np.uint8).reshape(-1, 2)
_THREE = np.frombuffer("".join(f"{i:03}" for i in range(1000)).encode(), np.uint8).reshape(-1, 3)
UUID = pa.binary(16)


def uuid4(rng: np.random.Generator, n: int) -> np.ndarray:
    """`n` random UUIDs as rows of 16 bytes."""
    ids = np.frombuffer(rng.bytes(16 * n), np.uint8).reshape(n, 16).copy()
    ids[:, 6] = ids[:, 6] & 0x0F | 0x40
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    return ids


def uuid7(rng: np.random.Generator, unix_ms: np.ndarray) -> np.ndarray:
    ids = uuid4(rng, len(unix_ms))
    ids[:, :6] = unix_ms.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 2:]
    ids[:, 6] = ids[:, 6] & 0x0F | 0x70
    return ids


def _bitmap(mask: np.ndarray | None) -> pa.Buffer | None:
    return None if mask is None else pa.py_buffer(np.packbits(~mask, bitorder="little"))


def _fixed_text(text: np.ndarray, mask: np.ndarray | None) -> pa.Array:
    """A string column from rows of equally many ASCII bytes."""
    n, width = text.shape
    offsets = np.arange(0, width * n + 1, width, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), n, [_bitmap(mask), pa.py_buffer(offsets), pa.py_buffer(text)])


def uuids(ids: np.ndarray, as_text: bool, mask: np.ndarray | None = None) -> pa.Array:
    """UUIDs as sixteen bytes, or as the 36 characters that a CSV file wants."""
    if not as_text:
        return pa.Array.from_buffers(UUID, len(ids), [_bitmap(mask), pa.py_buffer(np.ascontiguousarray(ids))])
    text = np.full((len(ids), 36), ord("-"), np.uint8)
    text[:, _HEX_AT] = _HEX[ids].view(np.uint8).reshape(-1, 32)
    return _fixed_text(text, mask)


def words(codes: np.ndarray, values: Sequence[str], mask: np.ndarray | None = None) -> pa.DictionaryArray:
    """A dictionary column: `codes` index `values`."""
    indices = pa.array(codes.astype(np.int32, copy=False), mask=mask)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string()))


def numbers(values: np.ndarray, mask: np.ndarray | None = None) -> pa.Array:
    return pa.array(values, mask=mask)


def _iso_text(milliseconds: np.ndarray) -> np.ndarray:
    """`2026-01-01T00:00:00.000Z`, 24 bytes each. pyarrow's own cast of zoned timestamps costs a microsecond a value."""
    day, of_day = np.divmod(milliseconds, common.DAY_MS)
    first = day.min() if len(day) else 0
    dates = np.datetime_as_string(np.arange(first, day.max() + 1 if len(day) else 0).astype("M8[D]")).astype("S10")
    second, ms = np.divmod(of_day, 1000)
    minute, second = np.divmod(second, 60)
    hour, minute = np.divmod(minute, 60)
    text = np.empty((len(milliseconds), 24), np.uint8)
    text[:] = np.frombuffer(b"2026-01-01T00:00:00.000Z", np.uint8)
    text[:, :10] = dates.view(np.uint8).reshape(-1, 10)[day - first]
    text[:, 11:13], text[:, 14:16], text[:, 17:19], text[:, 20:23] = _TWO[hour], _TWO[minute], _TWO[second], _THREE[ms]
    return text


def times(milliseconds: np.ndarray, as_text: bool, mask: np.ndarray | None = None) -> pa.Array:
    """UTC moments, as microseconds or as the ISO 8601 text that a CSV file wants."""
    if as_text:
        return _fixed_text(_iso_text(milliseconds), mask)
    return pa.array(milliseconds * 1000, pa.int64(), mask=mask).view(pa.timestamp("us", "UTC"))


def nulls(n: int) -> pa.Array:
    return pa.nulls(n, pa.string())


def choose(rng: np.random.Generator, n: int, weights: Sequence[float]) -> np.ndarray:
    """`n` codes, each with probability in proportion to its weight."""
    cumulative = np.cumsum(weights) / np.sum(weights)
    return np.searchsorted(cumulative[:-1], rng.random(n), side="right")


def blocks(users: int, per_block: int) -> Iterator[tuple[int, int]]:
    """First user and number of users of each block: small enough for the cache, large enough to vectorise."""
    return ((first, min(per_block, users - first)) for first in range(0, users, per_block))


class TableWriters:
    """One open file for each table, made at its first batch; `arrow` only counts."""

    def __init__(self, fmt: str, directory: Path | None) -> None:
        self.format, self.directory = fmt, directory
        self.rows: common.Rows = {}
        self.open: dict[str, pa.csv.CSVWriter | pa.parquet.ParquetWriter] = {}

    def write(self, tables: Tables) -> None:
        for name, batch in tables.items():
            self.rows[name] = self.rows.get(name, 0) + batch.num_rows
            if self.format == "arrow":
                continue
            if name not in self.open:
                path = self.directory / f"{name}.{self.format}"
                if self.format == "csv":
                    self.open[name] = pa.csv.CSVWriter(path, batch.schema, write_options=pa.csv.WriteOptions(batch_size=16_384))
                else:
                    repeated = [field.name for field in batch.schema if pa.types.is_dictionary(field.type)]
                    self.open[name] = pa.parquet.ParquetWriter(path, batch.schema, use_dictionary=repeated, compression="zstd", compression_level=1)
            self.open[name].write_batch(batch)

    def close(self) -> None:
        for writer in self.open.values():
            writer.close()


def command_line(description: str, users: int, days: int) -> argparse.Namespace:
    pa.set_cpu_count(1)
    parser = common.command_line(description, users, days)
    parser.add_argument("--format", choices=FORMATS, default="arrow", help="arrow builds the tables and writes nothing")
    return parser.parse_args()


def report(args: argparse.Namespace, main_table: str, batches: Callable[[np.random.Generator], Iterator[Tables]]) -> None:
    def generate() -> common.Rows:
        writers = TableWriters(args.format, args.output)
        for tables in batches(np.random.default_rng(args.seed)):
            writers.write(tables)
        writers.close()
        return writers.rows

    common.report(args, main_table, generate)
