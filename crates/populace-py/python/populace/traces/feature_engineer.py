"""Features of calls for a model that acts call by call. Needs NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from populace import _populace
from populace._errors import InputError
from populace.traces._call import service_of
from populace.traces.models import APICall, Session


class FeatureEngineer:
    """What is known at a call, as one vector: time, user, request, history. `fit` learns the services, `transform` makes the vector.

    >>> from populace.traces import SyntheticGenerator
    >>> session = SyntheticGenerator(seed=1).generate_dataset(num_users=5).sessions[0]
    >>> engineer = FeatureEngineer(request_features=False).fit([session])
    >>> engineer.get_feature_names()[:2], engineer.transform(session.calls[0], session, []).shape
    (['hour_sin', 'hour_cos'], (14,))
    """

    PEAK_HOURS = {10, 11, 14, 15}
    HTTP_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
    USER_TYPES = ["premium", "free", "guest"]
    #: What counts as 1 of what has no upper end.
    MAX_SESSION_DURATION_SECONDS = 1800
    MAX_PARAMS = 20
    MAX_HISTORY_LENGTH = 50
    MAX_RESPONSE_TIME_MS = 1000.0

    def __init__(
        self, temporal_features: bool = True, user_features: bool = True, request_features: bool = True, history_features: bool = True,
        normalize_endpoints: bool = True,
    ) -> None:  # fmt: skip
        self.temporal_features, self.user_features = temporal_features, user_features
        self.request_features, self.history_features = request_features, history_features
        self.normalize_endpoints = normalize_endpoints
        self.endpoint_vocab: dict[str, int] = {}
        self.endpoint_categories: dict[str, str] = {}
        self.category_vocab: dict[str, int] = {}
        self.is_fitted = False

    def fit(self, sessions: Sequence[Session]) -> FeatureEngineer:
        """Learn endpoints and their services, which become features. Gives itself."""
        endpoints = {self._endpoint(call) for session in sessions for call in session.calls}
        self.endpoint_categories = {endpoint: service_of(endpoint) for endpoint in sorted(endpoints)}
        self.endpoint_vocab = {endpoint: place for place, endpoint in enumerate(self.endpoint_categories)}
        self.category_vocab = {category: place for place, category in enumerate(sorted(set(self.endpoint_categories.values())))}
        self.is_fitted = True
        return self

    def transform(self, call: APICall, session: Session | None = None, history: Sequence[APICall] | None = None) -> Any:
        """The features of a call, as 32-bit floats; `history` is the session's calls before it. Raises `InputError` before `fit`."""
        import numpy

        self._check()
        groups = (self._time, self._user, self._request, self._history)
        enabled = (self.temporal_features, self.user_features, self.request_features, self.history_features)
        return numpy.array([value for group, on in zip(groups, enabled) if on for value in group(call, session, history)], numpy.float32)

    def fit_transform(self, sessions: Sequence[Session]) -> list[Any]:
        """`fit`, then the features of each call of each session."""
        self.fit(sessions)
        return [self.transform(call, session, session.calls[:place]) for session in sessions for place, call in enumerate(session.calls)]

    def get_feature_names(self) -> list[str]:
        """The names of the features, in order."""
        self._check()
        names = ["hour_sin", "hour_cos", "day_sin", "day_cos", "is_weekend", "is_peak_hour"] if self.temporal_features else []
        if self.user_features:
            names += [*(f"user_{each}" for each in self.USER_TYPES), "session_progress", "session_duration_normalized"]
        if self.request_features:
            names += [f"method_{each}" for each in self.HTTP_METHODS]
            names += [*(f"category_{each}" for each in self.category_vocab), "num_params_normalized"]
        if self.history_features:
            names += ["num_previous_calls_normalized", "time_since_start_normalized", "avg_response_time_normalized"]
        return names

    def get_feature_dim(self) -> int:
        """Number of features."""
        return len(self.get_feature_names())

    def get_feature_info(self) -> dict[str, Any]:
        """What was learned and what is enabled."""
        return {
            "feature_dim": self.get_feature_dim(), "num_endpoints": len(self.endpoint_vocab), "num_categories": len(self.category_vocab),
            "categories": sorted(self.category_vocab), "temporal_features_enabled": self.temporal_features,
            "user_features_enabled": self.user_features, "request_features_enabled": self.request_features,
            "history_features_enabled": self.history_features, "normalize_endpoints": self.normalize_endpoints,
        }  # fmt: skip

    @staticmethod
    def cyclic_encode(value: float, max_value: float) -> tuple[float, float]:
        """Sine and cosine of a value that begins again at `max_value`."""
        angle = 2 * math.pi * value / max_value
        return math.sin(angle), math.cos(angle)

    def _check(self) -> None:
        if not self.is_fitted:
            raise InputError("the feature engineer has learned nothing yet: call fit first")

    def _endpoint(self, call: APICall) -> str:
        return _populace.normalise_endpoint(call.endpoint) if self.normalize_endpoints else call.endpoint

    def _time(self, call: APICall, *_: Any) -> list[float]:
        hour, day = call.timestamp.hour, call.timestamp.weekday()
        return [*self.cyclic_encode(hour, 24), *self.cyclic_encode(day, 7), float(day >= 5), float(hour in self.PEAK_HOURS)]

    def _since_start(self, call: APICall, session: Session | None) -> float:
        seconds = (call.timestamp - session.start_timestamp).total_seconds() if session is not None else 0.0
        return min(seconds / self.MAX_SESSION_DURATION_SECONDS, 1.0)

    def _user(self, call: APICall, session: Session | None, history: Sequence[APICall] | None) -> list[float]:
        progress = 0.0
        if session is not None and session.num_calls:
            # Without its history a call is taken to be in the middle.
            progress = 0.5 if history is None else len(history) / session.num_calls
        return [*(float(call.user_type == each) for each in self.USER_TYPES), progress, self._since_start(call, session)]

    def _request(self, call: APICall, *_: Any) -> list[float]:
        category = self.endpoint_categories.get(self._endpoint(call))
        methods = [float(call.method == each) for each in self.HTTP_METHODS]
        return [*methods, *(float(category == each) for each in self.category_vocab), min(len(call.params or {}) / self.MAX_PARAMS, 1.0)]

    def _history(self, call: APICall, session: Session | None, history: Sequence[APICall] | None) -> list[float]:
        times = [each.response_time_ms or 0.0 for each in history or []]
        mean = sum(times) / len(times) if times else 0.0
        return [min(len(times) / self.MAX_HISTORY_LENGTH, 1.0), self._since_start(call, session), min(mean / self.MAX_RESPONSE_TIME_MS, 1.0)]

    def __repr__(self) -> str:
        return f"<FeatureEngineer of {self.get_feature_dim()} features>" if self.is_fitted else "<FeatureEngineer, not fitted>"
