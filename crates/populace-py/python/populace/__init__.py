"""Synthetic behavioural event data whose ground truth is known.

>>> import populace as pp
>>> run = pp.generate("email", users=350, seed=42)
>>> run.events.count()
81338
>>> run.truth.users.head(1)
[{'recipient_id': 'synth_user_01000', 'persona': 'lunch_browser', 'open_rate': 0.45, 'click_rate': 0.2}]

`generate` makes a run of a scenario, `stream` its rows in bounded memory, `replay` those of one user; `open` reads a run from files.
`policy` mails the same people by another plan and says what that is worth. `datasets` has features and labels to teach and test with, `scorer` plugs the truth into scikit-learn. `verify`, `score`, `report`, `recover`, `plan`, `features` and `prepare_churn` are the commands of these names. `populace.traces`, `populace.churn`
and `populace.email` have the interfaces of the generators that Populace replaces.
"""

from typing import TYPE_CHECKING

from populace import _populace, policy
from populace._analysis import Recovery, Verdicts, effects, features, plan, prepare_churn, recover, report, verify
from populace._errors import CheckFailed, FileError, InputError, PopulaceError
from populace._populace import Batch
from populace._result import Result
from populace._run import Replay, Run, Truth, generate, open, replay, stream
from populace._scenario import Scenario
from populace._score import Estimate, Scorecard, labels, score
from populace._scorer import Scorer, scorer
from populace._table import Column, Table

if TYPE_CHECKING:
    from populace import datasets

__version__ = _populace.VERSION
__all__ = [
    "Batch", "CheckFailed", "Column", "Estimate", "FileError", "InputError", "PopulaceError", "Recovery", "Replay", "Result", "Run",
    "Scenario", "Scorecard", "Scorer", "Table", "Truth", "Verdicts", "datasets", "effects", "features", "generate", "labels", "open", "plan",
    "policy", "prepare_churn", "recover", "replay", "report", "scenarios", "score", "scorer", "stream", "verify",
]  # fmt: skip
for _public in (Column, Estimate, Recovery, Replay, Result, Run, Scenario, Scorecard, Scorer, Table, Truth, Verdicts):
    _public.__module__ = "populace"


def scenarios() -> list[str]:
    """The names of the built-in scenarios.

    >>> import populace as pp
    >>> pp.scenarios()
    ['email', 'email-v1', 'email-industry', 'traces', 'churn']
    """
    return _populace.scenarios()


def __getattr__(name: str) -> object:
    if name in ("churn", "datasets", "email", "spark", "traces"):
        import importlib

        return importlib.import_module(f"populace.{name}")
    raise AttributeError(f"module 'populace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "churn", "email", "spark", "traces"})
