"""The types of arguments, by the names that annotations use."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Union

if TYPE_CHECKING:
    import numpy
    from numpy.random import Generator, RandomState

    from populace.traces import WorkflowDefinition

    Date = Union[str, datetime.date, numpy.datetime64, None]
    RandomSource = Union[int, Generator, RandomState, None]

Path = Union[str, "os.PathLike[str]"]
Progress = Union[bool, Callable[[int, int], object], None]
"""`True` shows tqdm's bar; a function is called with (users done, users in all)."""
Reading = Union[bool, Callable[[int], object], None]
"""`True` shows tqdm's bar; a function is called with the rows that were read since it was called last."""

Ids = Literal["text", "uuid", "binary"]
Text = Literal["str", "category"]
Dates = Literal["datetime64", "object"]
Integers = Literal["nullable", "numpy"]
Format = Literal["parquet", "csv", "jsonl", "arrow"]
TableFormat = Literal["parquet", "csv"]
ParquetTypes = Literal["portable", "compact"]
Order = Literal["actor", "time"]
Task = Literal["open", "click", "machine_open", "send_time", "latency", "churn", "transitions", "anomaly"]
Ceiling = Literal["observable", "latent"]
Metric = Literal["gain", "auc", "average_precision", "neg_log_loss", "neg_brier"]


class WriteOptions(TypedDict, total=False):
    """The options of `Run.write` but for the format."""

    compression: str | None
    parquet: ParquetTypes | None
    ids: Ids | None
    parts: int
    order: Order
    row_group_rows: int | None
    file_rows: int | None
    overwrite: bool
    resume: bool
    progress: Progress


class ReadingOptions(TypedDict, total=False):
    """How the data of a run is read, of what is made of it."""

    threads: int | None
    progress: Reading
    reading: Mapping[str, str] | None


class ReplayOptions(TypedDict, total=False):
    """The options of `generate` but for the seed and the progress."""

    users: int | None
    events: int | None
    days: int | None
    start: Date
    random_state: RandomSource
    profile: str | None
    set: Mapping[str, Any] | None
    truth: bool
    tables: str | Sequence[str] | None
    count: int | None
    threads: int | None
    workflow: Path | Mapping[str, Any] | WorkflowDefinition | None
    policy: Path | Mapping[str, Any] | None
    cascade_failure_rate: float | None
    paid_ratio: float | None
    churn_base_rate: float | None
    target_churn_rate: float | None
    latent: bool | None
    names: str | None


class GenerateOptions(ReplayOptions, total=False):
    """The options of `generate` but for the progress."""

    seed: int | None
