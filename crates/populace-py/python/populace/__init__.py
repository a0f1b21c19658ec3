"""Synthetic behavioural event data whose ground truth is known.

>>> import populace as pp
>>> run = pp.generate("email", users=350, seed=42)
>>> run.events.count()
81338
>>> run.truth.users.head(1)
[{'recipient_id': 'synth_user_01000', 'persona': 'lunch_browser', 'open_rate': 0.45, 'click_rate': 0.2}]

`generate` makes a run of a scenario, `stream` its rows in bounded memory, `replay` those of one user; `open` reads a run from files.
`verify`, `score`, `report`, `recover`, `plan`, `features` and `prepare_churn` are the commands of these names. `populace.traces`, `populace.churn`
and `populace.email` have the interfaces of the generators that Populace replaces.
"""

from populace import _populace
from populace._analysis import Recovery, Result, Scorecard, Verdicts, effects, features, plan, prepare_churn, recover, report, score, verify
from populace._errors import CheckFailed, FileError, InputError, PopulaceError
from populace._run import Column, Replay, Run, Table, generate, open, replay, stream
from populace._scenario import Scenario

__version__ = _populace.VERSION
__all__ = [
    "CheckFailed", "Column", "FileError", "InputError", "PopulaceError", "Recovery", "Replay", "Result", "Run", "Scenario", "Scorecard",
    "Table", "Verdicts", "effects", "features", "generate", "open", "plan", "prepare_churn", "recover", "replay", "report", "scenarios", "score", "stream",
    "verify",
]  # fmt: skip


def scenarios() -> list[str]:
    """The names of the built-in scenarios.

    >>> import populace as pp
    >>> pp.scenarios()
    ['email', 'email-v1', 'traces', 'churn']
    """
    return _populace.scenarios()


def __getattr__(name: str) -> object:
    if name in ("churn", "email", "spark", "traces"):
        import importlib

        return importlib.import_module(f"populace.{name}")
    raise AttributeError(f"module 'populace' has no attribute {name!r}")
