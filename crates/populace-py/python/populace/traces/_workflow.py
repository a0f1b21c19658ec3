"""Workflows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from populace import _options, _populace
from populace._errors import InputError


class WorkflowDefinition:
    """How users behave: a Markov chain over endpoints.

    `entry_points` maps an endpoint to the probability that a session starts there, `transitions` an endpoint to the probabilities of the
    next; each sums to 1. `exit_points` end a session. `avg_response_times` are in milliseconds (150 where none is given).
    `user_type_distribution` maps a type to its share. `methods` gives an endpoint's HTTP method where the rule by path does not fit.
    A session has at most `max_length` calls; an exit point ends it with `exit_probability`.

    Nothing is checked here: `SyntheticGenerator.validate_workflow` tells every problem, and generating raises `InputError`.

    >>> workflow = WorkflowDefinition("tiny", {"/a": 1.0}, {"/a": {"/b": 1.0}}, {"/b"})
    >>> workflow.transitions["/a"]["/b"]
    1.0
    """

    def __init__(
        self,
        name: str,
        entry_points: Mapping[str, float],
        transitions: Mapping[str, Mapping[str, float]],
        exit_points: Iterable[str],
        avg_response_times: Mapping[str, float] | None = None,
        user_type_distribution: Mapping[str, float] | None = None,
        methods: Mapping[str, str] | None = None,
        max_length: int = 20,
        exit_probability: float = 1.0,
    ) -> None:
        if isinstance(exit_points, str):
            raise TypeError(f"exit_points: must be a set of endpoints, got {exit_points!r}")
        self.name = name
        self.entry_points = dict(entry_points)
        self.transitions = {origin: dict(row) for origin, row in transitions.items()}
        self.exit_points = set(exit_points)
        self.avg_response_times = dict(avg_response_times or {})
        self.user_type_distribution = dict(user_type_distribution or {"premium": 0.3, "free": 0.5, "guest": 0.2})
        self.methods = dict(methods or {})
        self.max_length = max_length
        self.exit_probability = exit_probability

    @property
    def endpoints(self) -> list[str]:
        """Every endpoint, in alphabetical order."""
        targets = {target for row in self.transitions.values() for target in row}
        return sorted({*self.entry_points, *self.transitions, *targets, *self.exit_points}, key=str)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, with the keys of its YAML."""
        return {**{key: value for key, value in vars(self).items() if key != "exit_points"}, "exit_points": sorted(self.exit_points, key=str)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> WorkflowDefinition:
        """From plain values. Raises `InputError` for a key that is unknown or missing."""
        known = ("name", "entry_points", "transitions", "exit_points", "avg_response_times", "user_type_distribution", "methods", "max_length", "exit_probability")  # fmt: skip
        for key in document:
            if key not in known:
                raise InputError(f"{key}: unknown key; there are {', '.join(known)}")
        for key in known[:4]:
            if key not in document:
                raise InputError(f"{key}: is missing")
        return cls(**{key: value for key, value in document.items() if value is not None})

    def to_yaml(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file; folders that are missing are made. Raises `OSError`, `InputError` for values that have no form in YAML."""
        target = Path(_options.path("path", path))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        partial.write_text(_populace.json_to_yaml(_options.document("workflow", self.to_dict())), encoding="utf-8")
        partial.replace(target)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> WorkflowDefinition:
        """Read it from a file. Raises `OSError`, `InputError` with line and column."""
        source = Path(_options.path("path", path))
        try:
            text = source.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{source}: is not text in UTF-8 ({error})") from None
        document = json.loads(_populace.yaml_to_json(str(source), text))
        if not isinstance(document, dict):
            raise InputError(f"{source}: is not a workflow")
        try:
            return cls.from_dict(document)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{source}: {error}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkflowDefinition) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<WorkflowDefinition {self.name}: {len(self.endpoints)} endpoints, {len(self.exit_points)} of them exits>"

    def _repr_html_(self) -> str:
        import html

        def shown(probability: Any) -> str:
            return f"{probability:.3f}" if isinstance(probability, (int, float)) else html.escape(str(probability))

        rows = "".join(
            f"<tr><td>{html.escape(str(origin))}</td><td>{html.escape(str(target))}</td><td>{shown(probability)}</td></tr>"
            for origin, row in [("(start)", self.entry_points), *self.transitions.items()]
            for target, probability in row.items()
        )
        exits = html.escape(", ".join(sorted(map(str, self.exit_points))))
        return f"<p><b>{html.escape(self.name)}</b>, exits: {exits}</p><table><tr><th>from</th><th>to</th><th>probability</th></tr>{rows}</table>"


def plain(workflow: Any) -> dict[str, Any]:
    if not isinstance(workflow, WorkflowDefinition):
        raise TypeError(f"workflow: must be a WorkflowDefinition, got {workflow!r}")
    return workflow.to_dict()


def builtin(name: str) -> WorkflowDefinition:
    return WorkflowDefinition.from_dict(json.loads(_populace.yaml_to_json(name, dict(dict(_populace.components())["workflow"])[name])))


def create_simple_workflow() -> WorkflowDefinition:
    """Three endpoints, for tests.

    >>> create_simple_workflow().transitions["/start"]
    {'/middle': 0.7, '/end': 0.3}
    """
    return builtin("simple")


def create_microservices_workflow() -> WorkflowDefinition:
    """The services of a shop behind a gateway."""
    return builtin("microservices")
