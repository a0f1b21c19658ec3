"""Sequences of endpoints, and what can be learned from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from populace import _options, _populace
from populace.traces.models import Dataset, Session, cut, sequences_of

_SHORT_SECONDS, _MEDIUM_SECONDS = 60, 600
_TIMES_OF_DAY = ("night", "morning", "afternoon", "evening")
"""Of six hours each, from midnight."""


@dataclass
class ContextualSequence:
    """The endpoints of a session, and what is known about it."""

    sequence: list[str]
    user_type: str | None
    time_of_day: str
    """night, morning, afternoon or evening: six hours each, from midnight UTC."""
    day_type: str
    """weekday or weekend."""
    session_length_category: str
    """short: less than a minute; medium: less than ten; long."""


class SequenceBuilder:
    """Sequences of endpoints and what can be learned from them. Retries never count.

    Paths become endpoints by the rule of the commands, unless `normalize_endpoints` is false. Sessions of fewer than
    `min_sequence_length` calls are left out of `build_sequences`, `build_contextual_sequences` and `get_statistics`.

    Its methods take a `Dataset`, its `sessions`, a list of `Session`, or a list of lists of endpoints.

    >>> builder = SequenceBuilder()
    >>> builder.get_transition_counts([["/a/1", "/b", "/a/2"], ["/A/3/", "/b"]])
    {('/a/{id}', '/b'): 2, ('/b', '/a/{id}'): 1}
    >>> builder.build_ngrams([["/a", "/b", "/a"], ["/a", "/b"]], n=2)
    [('/a', '/b'), ('/b', '/a'), ('/a', '/b')]
    """

    def __init__(self, normalize_endpoints: bool = True, min_sequence_length: int = 1) -> None:
        self.normalize_endpoints = normalize_endpoints
        self.min_sequence_length = _options.whole("min_sequence_length", min_sequence_length, 0, 2**31)

    def normalize_endpoint(self, endpoint: str) -> str:
        """The endpoint of a path: small letters, no query, no closing slash, numbers and UUIDs as `{id}`.

        >>> SequenceBuilder().normalize_endpoint("/API/Users/123/Profile/?ref=mail")
        '/api/users/{id}/profile'
        """
        return _populace.normalise_endpoint(_options.text("endpoint", endpoint))

    def _native(self, sessions: Any) -> _populace.Sequences:
        sequences = sequences_of(sessions)
        return sequences.normalised() if self.normalize_endpoints else sequences

    def build_sequences(self, sessions: Any, min_length: int | None = None, *, include_metadata: bool = False) -> list[list[str]]:
        """The endpoints of each session of at least `min_sequence_length` calls, or `min_length`.

        `include_metadata` changes nothing, as in the original; `build_contextual_sequences` gives what is known of each session.
        """
        least = self.min_sequence_length if min_length is None else _options.whole("min_length", min_length, 0, 2**31)
        return self._native(sessions).longer(least).lists()

    def build_labeled_sequences(self, sessions: Any, context_length: int | None = None, min_context: int = 1) -> list[tuple[list[str], str]]:
        """Pairs of what came before, the last `context_length` endpoints or all, and the endpoint that came next."""
        longest = 2**31 if context_length is None else _options.whole("context_length", context_length, 1, 2**31)
        return self._native(sessions).pairs(longest, _options.whole("min_context", min_context, 1, 2**31))

    def build_ngrams(self, sessions: Any, n: int = 2) -> list[tuple[str, ...]]:
        """Each run of `n` endpoints, at least 2, session after session."""
        return self._native(sessions).ngrams(_options.whole("n", n, 2, 2**31))

    def build_contextual_sequences(self, sessions: Any) -> list[ContextualSequence]:
        """The sequences of sessions, with user type, time of day, type of day and length."""
        sessions = [sessions] if isinstance(sessions, Session) else list(sessions.sessions if isinstance(sessions, Dataset) else sessions)
        made = []
        for session, sequence in zip(sessions, self._native(sessions).lists()):
            if len(sequence) < self.min_sequence_length:
                continue
            if not isinstance(session, Session):
                raise TypeError(f"sessions: must be of Session, got {session!r}")
            start, seconds = session.start_timestamp, session.duration_seconds
            made.append(ContextualSequence(
                sequence, session.user_type, _TIMES_OF_DAY[start.hour // 6], "weekend" if start.weekday() >= 5 else "weekday",
                "short" if seconds < _SHORT_SECONDS else "medium" if seconds < _MEDIUM_SECONDS else "long",
            ))  # fmt: skip
        return made

    def get_transition_counts(self, sessions: Any) -> dict[tuple[str, str], int]:
        """How often each transition happened: (from, to) → count."""
        return self._native(sessions).transition_counts()

    def get_transition_probabilities(self, sessions: Any, smoothing: float = 0.0) -> dict[str, dict[str, float]]:
        """The share of each transition among those that leave the same endpoint: from → to → share.

        `smoothing` is added to the count of every transition between endpoints that were left and endpoints that were entered.
        """
        return self._native(sessions).transition_probabilities(_options.number("smoothing", smoothing))

    def split_sequences(self, sessions: Any, train_ratio: float = 0.8) -> tuple[list[Session], list[Session]]:
        """The first sessions, `train_ratio` of them, and the rest."""
        return cut(list(sessions.sessions if isinstance(sessions, Dataset) else sessions), train_ratio)

    def get_unique_endpoints(self, sessions: Any) -> list[str]:
        """The endpoints, in alphabetical order."""
        return self._native(sessions).unique()

    def get_statistics(self, sessions: Any) -> dict[str, Any]:
        """Numbers of sequences, calls, endpoints and transitions; lengths; how often each endpoint came, first and last."""
        sequences = self._native(sessions)
        return {**sequences.longer(self.min_sequence_length).statistics(), "unique_endpoints": len(sequences.unique())}

    extract_sequences = build_sequences
    create_labeled_pairs = build_labeled_sequences
    get_ngrams = build_ngrams
    get_sequence_statistics = get_statistics
