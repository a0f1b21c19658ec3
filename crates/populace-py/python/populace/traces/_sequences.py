"""Sequences of endpoints, and what can be learned from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from populace import _options, _populace
from populace.traces._calls import Session, _Sessions
from populace.traces._dataset import Dataset


class SequenceBuilder:
    """Sequences of endpoints and what can be learned from them. Retries never count.

    Its methods take a `Dataset`, its `sessions`, a list of `Session`, or a list of lists of endpoints.

    >>> builder = SequenceBuilder()
    >>> builder.get_transition_counts([["/a", "/b", "/a"], ["/a", "/b"]])
    {'/a': {'/b': 2}, '/b': {'/a': 1}}
    >>> builder.build_ngrams([["/a", "/b", "/a"], ["/a", "/b"]], n=2)
    {('/a', '/b'): 2, ('/b', '/a'): 1}
    """

    def _native(self, sessions: Any) -> Any:
        if isinstance(sessions, Dataset):
            return sessions._sequences()
        if isinstance(sessions, _Sessions):
            return sessions._dataset._store.sequences(list(sessions._places))
        if isinstance(sessions, Session):
            sessions = [sessions]
        lists = []
        for session in sessions:
            sequence = getattr(session, "endpoint_sequence", session)
            if isinstance(sequence, (str, bytes)) or not isinstance(sequence, Iterable):
                raise TypeError(f"sessions: must be sessions or lists of endpoints, got {sequence!r}")
            lists.append(list(sequence))
        return _populace.Sequences.of(lists)

    def build_sequences(self, sessions: Any, min_length: int = 1) -> list[list[str]]:
        """The endpoints of each session of at least `min_length` calls."""
        return [sequence for sequence in self._native(sessions).lists() if len(sequence) >= min_length]

    def build_labeled_sequences(self, sessions: Any, context_length: int = 5, min_context: int = 1) -> list[tuple[list[str], str]]:
        """Pairs of what came before, at most `context_length` endpoints, and the endpoint that came next."""
        return self._native(sessions).pairs(
            _options.whole("context_length", context_length, 1, 2**31), _options.whole("min_context", min_context, 1, 2**31)
        )

    def build_ngrams(self, sessions: Any, n: int = 2) -> dict[tuple[str, ...], int]:
        """How often each run of `n` endpoints came, the most frequent first."""
        return self._native(sessions).ngrams(_options.whole("n", n, 1, 2**31))

    def get_transition_counts(self, sessions: Any) -> dict[str, dict[str, int]]:
        """How often each transition happened: from → to → count."""
        return self._native(sessions).transition_counts()

    def get_transition_probabilities(self, sessions: Any, smoothing: float = 0.0) -> dict[str, dict[str, float]]:
        """The share of each transition among those that leave the same endpoint: from → to → share.

        `smoothing` is added to the count of every transition between endpoints that were left and endpoints that were entered.
        """
        return self._native(sessions).transition_probabilities(_options.number("smoothing", smoothing))

    def get_statistics(self, sessions: Any) -> dict[str, Any]:
        """Numbers of sequences, calls, endpoints and transitions; lengths; how often each endpoint came, first and last."""
        return self._native(sessions).statistics()

    extract_sequences = build_sequences
    create_labeled_pairs = build_labeled_sequences
    get_ngrams = build_ngrams
    get_sequence_statistics = get_statistics
