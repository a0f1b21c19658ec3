"""Scenarios as dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from populace import _options, _populace
from populace._errors import InputError
from populace._types import Path

_HEAD = ("version", "scenario", "name", "description", "seed")


class Scenario(dict[str, Any]):
    """A scenario: a dictionary with the keys of its document.

    Everything that a document can say can be read and changed; what the result means is checked when it is used.

    >>> import populace as pp
    >>> scenario = pp.Scenario.load("email")
    >>> scenario["personas"]["night_owl"]["open_rate"]
    0.28
    >>> scenario["personas"]["night_owl"]["open_rate"] = 0.3
    >>> scenario["personas"]["night_owl"]["open_rates"] = 0.3
    >>> scenario.check()
    Traceback (most recent call last):
        ...
    populace.InputError: email:... personas.night_owl.open_rates: unknown key
        hint: did you mean `open_rate`?
    """

    @classmethod
    def load(cls, source: Path, profile: str | None = None, set: Mapping[str, Any] | None = None) -> Scenario:
        """The built-in scenario of this name, or the one in a file, with nothing left to look up.

        `profile` applies one of its profiles; `set` changes single values by dotted path.

        Raises `InputError`, which names every problem in its place, and `FileError`.
        """
        name = _options.path("source", source)
        return cls._resolve(name, None, {"profile": profile, "set": _options.settings(set)})

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Scenario:
        """The scenario of a document given as a dictionary; it may extend a built-in one: `{"extends": "email", …}`.

        Raises `InputError`.
        """
        return cls._resolve(str(document.get("name", "scenario")), _options.document("scenario", document), {})

    @classmethod
    def from_yaml(cls, text: str) -> Scenario:
        """The scenario of a document given as text. Raises `InputError`."""
        return cls._resolve("scenario", text, {})

    @classmethod
    def _resolve(cls, name: str, text: str | None, options: dict[str, Any]) -> Scenario:
        import json

        head, _, config = _populace.resolve(name, text, options)
        return cls({**json.loads(head), **json.loads(config)})

    def check(self) -> None:
        """Check it. Raises `InputError`, which names every problem at once."""
        self.resolved()

    def resolved(self) -> Scenario:
        """The scenario with nothing left to look up: defaults filled in, values checked. Raises `InputError`."""
        return type(self).from_dict(self)

    def to_yaml(self, path: Path | None = None) -> str:
        """Its document, resolved, as YAML; written to `path` if one is given.

        Raises `InputError` if it is not sound, `OSError` if it cannot be written.
        """
        _, text, _ = _populace.resolve(str(self.get("name", "scenario")), _options.document("scenario", self), {})
        if path is not None:
            import pathlib

            target = pathlib.Path(_options.path("path", path))
            partial = target.with_name(target.name + ".partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(target)
        return text

    def to_dict(self) -> dict[str, Any]:
        """A copy as plain dictionaries."""
        import copy

        return copy.deepcopy(dict(self))

    def copy(self) -> Scenario:
        """A copy that shares nothing with it."""
        return type(self)(self.to_dict())

    def __or__(self, other: Any) -> Any:
        return type(self)({**self, **other}) if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Any) -> Any:
        return type(self)({**other, **self}) if isinstance(other, Mapping) else NotImplemented

    def _repr_html_(self) -> str:
        import html
        import json

        try:
            text = self.to_yaml()
        except InputError as error:
            text = f"{error}\n\n{json.dumps(self, default=str, indent=1)}"
        return f"<details><summary>scenario <b>{html.escape(str(self.get('name')))}</b></summary><pre>{html.escape(text)}</pre></details>"
