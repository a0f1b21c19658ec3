"""Results as dictionaries, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from populace import _options, _types
from populace._errors import InputError
from populace._run import Run
from populace._table import Bar


class Result(dict[str, Any]):
    """A result as a dictionary, with the keys of the command's JSON."""

    def to_json(self, path: _types.Path | None = None) -> str:
        """As JSON; written to `path` if one is given."""
        text = json.dumps(self, indent=2, ensure_ascii=False)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text + "\n")
        return text

    def _repr_html_(self) -> str:
        plain = {key: value for key, value in self.items() if not isinstance(value, (dict, list))}
        tables = ((key, value) for key, value in self.items() if isinstance(value, list) and value and isinstance(value[0], dict))
        return html_table([plain], list(plain)) + "".join(f"<p>{html(key)}</p>{html_table(rows, list(rows[0]))}" for key, rows in tables)


def html(value: Any) -> str:
    """A value in a cell."""
    from html import escape

    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else escape(str(value))


def html_table(rows: Sequence[Mapping[str, Any]], columns: list[str]) -> str:
    """Rows as a table."""
    head = "".join(f"<th>{html(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{html(row.get(column))}</td>" for column in columns) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def directory(run: Run | _types.Path) -> str:
    """The directory of a run."""
    return run._files() if isinstance(run, Run) else _options.path("run", run)


def files(reading: Mapping[str, str] | None) -> dict[str, str]:
    """How files are read that are no run: the options `map`, `time_unit`, `dates`, `utc_offset`, `decimal` and `encoding` of the command."""
    known = ("map", "time_unit", "dates", "utc_offset", "decimal", "encoding")
    reading = dict(reading or {})
    unknown = sorted(set(reading) - set(known))
    if unknown:
        raise InputError(f"reading: there is no option {unknown[0]}; there are {', '.join(known)}{_options.near(unknown[0], known)}")
    return {name: _options.path(name, value) if hasattr(value, "__fspath__") else str(value) for name, value in reading.items()}


@contextmanager
def reading(
    what: str, threads: int | None, progress: _types.Reading, files_of: Mapping[str, str] | None = None, **options: Any
) -> Iterator[dict[str, Any]]:
    """Options of what reads a run on several threads."""
    with Bar(progress, None, what, "rows") as advance:
        yield {"threads": _options.whole("threads", threads, 1, 1024), "progress": advance, **files(files_of), **options}
