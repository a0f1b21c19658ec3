"""Data sets to teach and test with: features that are known at the moment of prediction, labels, and the best that can be had.

Each is made from a run, by its seed, as scikit-learn's `make_…` are. Needs pandas and pyarrow.

>>> import populace as pp
>>> data = pp.datasets.load_churn(users=300, seed=1)
>>> data.X.shape, data.y.name, data.X.index.name
((300, 17), 'label', 'user_id')
>>> train, test = pp.datasets.make_split(data)
>>> len(train.X), len(test.X), bool({*train.groups} & {*test.groups})
(225, 75, False)
"""

from populace.datasets._bunch import Bunch, make_split
from populace.datasets._churn import load_churn
from populace.datasets._email import load_click, load_open, load_send_time
from populace.datasets._traces import load_anomaly

__all__ = ["Bunch", "load_anomaly", "load_churn", "load_click", "load_open", "load_send_time", "make_split"]
