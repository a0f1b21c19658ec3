"""The digest of a manifest, of rows wherever they are: the sums that the engine makes, of the same hashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import numpy.typing
import pyarrow as pa

from populace._errors import InputError

_MULTIPLIER = numpy.uint64(0x9E37_79B9_7F4A_7C15)
_SECOND = numpy.uint64(0xD6E8_FEB8_6659_FD93)
_FINAL = (numpy.uint64(0xFF51_AFD7_ED55_8CCD), numpy.uint64(0xC4CE_B9FE_1A85_EC53))

Words = numpy.typing.NDArray[numpy.uint64]


def _rotated(words: Words, bits: int) -> Words:
    return words << numpy.uint64(bits) | words >> numpy.uint64(64 - bits)


def _mix(words: Words) -> Words:
    """The finaliser of MurmurHash3."""
    shift = numpy.uint64(33)
    for factor in _FINAL:
        words = (words ^ words >> shift) * factor
    return words ^ words >> shift


def _absorb(hashes: Words, words: Words) -> Words:
    return (_rotated(hashes, 23) ^ words) * _MULTIPLIER


def _texts(texts: pa.StringArray) -> Words:
    """The hashes of texts: of their bytes in words of eight, the last filled up with zeros, after their number."""
    lengths = numpy.diff(numpy.frombuffer(texts.buffers()[1], numpy.int32, len(texts) + 1, 4 * texts.offset))
    starts = numpy.frombuffer(texts.buffers()[1], numpy.int32, len(texts), 4 * texts.offset)
    data = numpy.frombuffer(texts.buffers()[2] or b"", numpy.uint8)
    hashes = numpy.empty(len(texts), numpy.uint64)
    for length in numpy.unique(lengths):
        these = numpy.flatnonzero(lengths == length)
        found = numpy.full(len(these), _absorb(_MULTIPLIER.reshape(1), numpy.full(1, length, numpy.uint64))[0])
        padded = numpy.zeros((len(these), -(-int(length) // 8) * 8), numpy.uint8)
        if length:
            padded[:, :length] = data[starts[these][:, None] + numpy.arange(length)]
        for word in padded.view("<u8").T if length else ():
            found = _absorb(found, word)
        hashes[these] = _mix(found)
    return hashes


def _uuids(column: pa.Array) -> Words:
    """UUIDs, from bytes or text, as one word each."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.string()).fill_null("0" * 32)
        raw = b"".join(bytes.fromhex(text.replace("-", "")) for text in column.to_pylist())
    else:
        raw = b"".join(value if value is not None else bytes(16) for value in column.to_pylist())
    halves = numpy.frombuffer(raw, ">u8").astype(numpy.uint64).reshape(len(column), 2)
    return _absorb(halves[:, 0], halves[:, 1])


def _words(column: pa.Array, kind: pa.DataType) -> Words:
    """The values of a column as words; whatever for a null."""
    if pa.types.is_string(kind):
        coded = column.dictionary_encode()
        words = _texts(coded.dictionary.cast(pa.string()))
        return words[coded.indices.fill_null(0).to_numpy(zero_copy_only=False)] if len(words) else numpy.zeros(len(column), numpy.uint64)
    if kind.equals(pa.binary(16)):
        return _uuids(column)
    column = column.cast(kind)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        column = column.cast(pa.int32() if pa.types.is_date(kind) else pa.int64())
    values: numpy.typing.NDArray[Any] = column.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy(zero_copy_only=False)
    return values.astype(numpy.float64 if pa.types.is_floating(kind) else numpy.int64).view(numpy.uint64)


def of_batch(batch: pa.RecordBatch, table: pa.Schema) -> tuple[int, int, int]:
    """Rows and the two sums of a batch with the columns of a table, whose text is plain and whose UUIDs are 16 bytes."""
    hashes = numpy.full(batch.num_rows, _MULTIPLIER)
    for number, field in enumerate(table, 1):
        column = batch.column(batch.schema.names.index(field.name))
        if column.null_count and not field.nullable:
            raise InputError(f"column {field.name}: is never null, but {column.null_count} of {len(column)} values are")
        absorbed = _absorb(hashes, _words(column, field.type) ^ _mix(numpy.array([number], numpy.uint64)))
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        hashes = numpy.where(valid, absorbed, hashes)

    def total(words: Words) -> int:
        return int(numpy.add.reduce(words, dtype=numpy.uint64))

    return batch.num_rows, total(_mix(hashes)), total(_mix(_rotated(hashes, 32) ^ _SECOND))


def total(parts: Iterator[tuple[int, int, int]]) -> tuple[int, int, int]:
    """The digest of all parts."""
    rows, first, second = 0, 0, 0
    for part in parts:
        rows, first, second = rows + part[0], (first + part[1]) % 2**64, (second + part[2]) % 2**64
    return rows, first, second


def text(digest: tuple[int, int, int]) -> str:
    """As manifests have it."""
    return f"{digest[1]:016x}{digest[2]:016x}"
