"""Scorers for scikit-learn: the truth of a run as `scoring=`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from populace import _options, _types
from populace._errors import InputError
from populace._run import Run, open
from populace._score import labels

if TYPE_CHECKING:
    import pandas

TWO_VALUED = ("open", "click", "machine_open", "churn", "anomaly")


class Scorer:
    """A scorer for scikit-learn: how good an estimator is on some rows of a run. See `scorer`."""

    def __init__(self, task: str, metric: str, ceiling: str, truth: pandas.DataFrame, minutes: Minutes | None = None) -> None:
        self.task, self.metric, self.ceiling = task, metric, ceiling
        self._truth, self._minutes = truth, minutes

    def __call__(self, estimator: Any, X: Any, y: Any = None, **_: Any) -> float:
        """The metric of the estimator's predictions for the rows of `X`, whose index is the key; more is better."""
        import numpy

        if not hasattr(X, "index") or callable(X.index):
            raise TypeError(f"scorer: X must be a data frame whose index is the {self._truth.index.name}, got {type(X).__name__}")
        known = self._truth.index.get_indexer(X.index)
        if (known < 0).any():
            unknown = X.index[known < 0].tolist()[0]
            raise InputError(f"scorer: X has {unknown!r} in its index, which is no {self._truth.index.name} of the run's labels")
        truth = self._truth.iloc[known]
        if self._minutes is not None:
            return self._minutes.gain(truth, numpy.asarray(estimator.predict(X)), self.ceiling)
        label, scores = truth.label.to_numpy(dtype=float), _scores(estimator, X, self.metric)
        if self.metric != "gain":
            return _METRICS[self.metric](label, scores)
        if self.task == "latency":
            base, best = numpy.median(label), truth.observable_median.to_numpy()
            worth: Callable[[Any, Any], float] = lambda label, seconds: -float(numpy.abs(label - seconds).mean())
        else:
            base, best = numpy.full(len(label), label.mean()), truth[f"p_{self.ceiling}"].to_numpy(dtype=float)
            worth = _average_precision if self.task == "anomaly" else _neg_log_loss
        return _share(worth(label, base), worth(label, scores), worth(label, best))

    def __repr__(self) -> str:
        return f"<Scorer of {self.task}: {self.metric}{f' over {self.ceiling}' if self.metric == 'gain' else ''}, {len(self._truth):,} labels>"


class Minutes:
    """What each minute of the week is worth to a recipient."""

    def __init__(self, run: Run) -> None:
        most = run.scenario["engagement"]["max_probability"]
        timing = run["truth/timing"].to_pandas()
        if "utc_offset_minutes" in timing:
            # Of all offsets a week has the same best minute.
            offsets = timing.utc_offset_minutes
            timing = timing[offsets == (offsets[offsets >= 0].min() if (offsets >= 0).any() else offsets.max())]
        curves = timing.pivot(index="persona", columns="minute_of_week", values="factor")
        people = run["truth/users"].to_pandas().set_index("recipient_id")
        rate = people.groupby("persona").open_rate.first().reindex(curves.index)
        self.values = curves.mul(rate, axis=0).clip(upper=most).to_numpy()
        self.persona = people.persona.map({name: place for place, name in enumerate(curves.index)})

    def gain(self, truth: pandas.DataFrame, minutes: Any, ceiling: str) -> float:
        """The share of what there is to gain over a minute at random."""
        whole = minutes.astype("int64")
        if not ((whole == minutes) & (whole >= 0) & (whole < self.values.shape[1])).all():
            raise InputError("scorer: predictions must be minutes of the week, whole numbers from 0 to 10079")
        personas = self.persona.loc[truth.index].to_numpy()
        best = truth.oracle_value if ceiling == "latent" else truth.observable_value
        return _share(self.values.mean(axis=1)[personas].mean(), self.values[personas, whole].mean(), best.mean())


def _share(base: float, model: float, best: float) -> float:
    return float((model - base) / (best - base)) if best != base else float("nan")


def _scores(estimator: Any, X: Any, metric: str) -> Any:
    import numpy

    if hasattr(estimator, "predict_proba"):
        return numpy.asarray(estimator.predict_proba(X), dtype=float)[:, 1]
    if metric in ("auc", "average_precision") and hasattr(estimator, "decision_function"):
        return numpy.asarray(estimator.decision_function(X), dtype=float)
    return numpy.asarray(estimator.predict(X), dtype=float)


def _neg_log_loss(label: Any, p: Any) -> float:
    import numpy

    happened = numpy.clip(numpy.where(label == 1, p, 1 - p), 1e-15, 1)
    return float(numpy.log(happened).mean())


def _average_precision(label: Any, scores: Any) -> float:
    """Σ (recall − recall before) × precision, over the different scores."""
    import numpy

    order = numpy.argsort(-scores, kind="stable")
    ends = numpy.append(numpy.flatnonzero(numpy.diff(scores[order])), len(scores) - 1)
    hits = numpy.cumsum(label[order])[ends]
    return float(numpy.sum(numpy.diff(hits, prepend=0) / label.sum() * hits / (ends + 1))) if label.any() else float("nan")


def _auc(label: Any, scores: Any) -> float:
    """The share of pairs of a positive and a negative that are in order, ties by half."""
    import numpy

    _, place, counts = numpy.unique(scores, return_inverse=True, return_counts=True)
    rank = (numpy.cumsum(counts) - (counts - 1) / 2)[place]
    positives = label.sum()
    negatives = len(label) - positives
    pairs = positives * negatives
    return float((rank[label == 1].sum() - positives * (positives + 1) / 2) / pairs) if pairs else float("nan")


_METRICS: dict[str, Callable[[Any, Any], float]] = {
    "auc": _auc,
    "average_precision": _average_precision,
    "neg_log_loss": _neg_log_loss,
    "neg_brier": lambda label, p: -float(((label - p) ** 2).mean()),
}


@_options.keywords
def scorer(
    task: _types.Task,
    run: Run | _types.Path,
    *,
    metric: _types.Metric = "gain",
    ceiling: _types.Ceiling = "observable",
    as_of: _types.Date = None,
) -> Scorer:
    """A scorer for `cross_validate`, `GridSearchCV` and their like: `scoring=pp.scorer("churn", run)`. It can be pickled, for `n_jobs`.

    It scores the rows of `X` by its index, so `X` is a data frame with the key as its index, as `pp.datasets` gives them. `metric` is gain
    (the share of the attainable gain over `ceiling`, observable or latent), auc, average_precision, neg_log_loss or neg_brier; more is
    better. Tasks are open, click, churn, anomaly, and by their gain send_time (minutes of the week) and latency (seconds).

    >>> import populace as pp
    >>> data = pp.datasets.load_churn(users=300, seed=1)
    >>> pp.scorer("churn", data.run)
    <Scorer of churn: gain over observable, 300 labels>
    """
    _options.choice("metric", metric, get_args(_types.Metric))
    _options.choice("ceiling", ceiling, get_args(_types.Ceiling))
    _options.choice("task", task, (*TWO_VALUED, "send_time", "latency"))
    if metric != "gain" and task not in TWO_VALUED:
        raise InputError(f"metric: {task} has no {metric}; its metric is gain")
    if ceiling == "latent" and task in ("anomaly", "latency"):
        raise InputError(f"ceiling: {task} has no latent ceiling; give observable")
    run = run if isinstance(run, Run) else open(run)
    return Scorer(task, metric, ceiling, labels(task, run, as_of=as_of), Minutes(run) if task == "send_time" else None)
