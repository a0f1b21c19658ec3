"""What a data set is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from populace import _options
from populace._errors import InputError
from populace._run import Run

if TYPE_CHECKING:
    import numpy.typing
    import pandas

    Frames = tuple[pandas.DataFrame, pandas.Series[Any]]
    Arrays = tuple[numpy.typing.NDArray[Any], numpy.typing.NDArray[Any]]


class Bunch(dict[str, Any]):
    """A data set: a dictionary whose entries are attributes too, as scikit-learn's.

    `X` are the features and `y` the labels; `groups` says whose a row is, for a split that keeps users together; `p_observable` is the
    probability by the best predictor that knows the scenario and the history, `p_latent` the one that was drawn against (`None` if a task
    has none); `run` is the run, `feature_names` the columns of `X` and `DESCR` what all of it means. `X`, `y`, `groups` and the
    probabilities have the same index, the key by which `pp.score` and `pp.scorer` know the rows.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name}; there are {', '.join(self)}{_options.near(name, self)}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        rows, columns = self["X"].shape
        return f"<Bunch of {self['task']}: {rows:,} rows, {columns} features, from {self['run']!r}>"

    def _repr_html_(self) -> str:
        from populace._result import html

        rows = self["X"].head()._repr_html_() if hasattr(self["X"], "head") else ""
        return f"<p>{html(repr(self)[1:-1])}</p><pre>{html(self['DESCR'])}</pre>{rows}"


def bunch(
    task: str,
    run: Run,
    X: pandas.DataFrame,
    truth: pandas.DataFrame,
    groups: pandas.Series[Any],
    what: str,
    features: dict[str, str],
    as_frame: bool,
    return_X_y: bool,
) -> Bunch | Frames | Arrays:
    """A data set from features and what `pp.labels` gives, of the rows that have both."""
    features = {str(name): features[str(name)] for name in X}
    X = X.loc[truth.index].astype("float64")
    entries: dict[str, Any] = {"X": X, "y": truth["label"], "groups": groups.loc[truth.index]}
    entries |= {name: truth[name] if name in truth else None for name in ("p_observable", "p_latent")}
    if not as_frame:
        entries = {name: None if value is None else value.to_numpy() for name, value in entries.items()}
    if return_X_y:
        return entries["X"], entries["y"]
    listed = "\n".join(f"  {name}: {meaning}" for name, meaning in features.items())
    description = f"{what}\n\nFrom {run!r}.\n\nFeatures:\n{listed}\n"
    return Bunch(entries, task=task, run=run, feature_names=list(features), DESCR=description)


def make_split(data: Bunch, test_size: float = 0.25, seed: int = 0) -> tuple[Bunch, Bunch]:
    """Two data sets, to train with and to test with, that share no group: about `test_size` of the groups are in the second."""
    import numpy

    share = _options.share("test_size", test_size) or 0.25
    groups, place = numpy.unique(numpy.asarray(data["groups"]), return_inverse=True)
    if len(groups) < 2:
        raise InputError(f"test_size: a split needs at least two groups, and there are {len(groups)}")
    count = min(max(round(share * len(groups)), 1), len(groups) - 1)
    drawn = numpy.random.default_rng(_options.whole("seed", seed, 0, _options.MAX_SEED)).permutation(len(groups))[:count]
    tested = numpy.isin(place, drawn)

    def part(rows: Any) -> Bunch:
        of_rows = ("X", "y", "groups", "p_observable", "p_latent")
        return Bunch({name: value[rows] if name in of_rows and value is not None else value for name, value in data.items()})

    return part(~tested), part(tested)
