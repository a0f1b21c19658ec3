"""API call sessions with a known Markov chain: workflows, generated data sets, sequences.

>>> from populace.traces import SequenceBuilder, SyntheticGenerator
>>> gen = SyntheticGenerator(seed=42)
>>> dataset = gen.generate_dataset(num_users=200)
>>> learned = SequenceBuilder().get_transition_probabilities(dataset.sessions)
>>> abs(learned["/api/login"]["/api/users/{id}/profile"] - 0.8) < 0.1
True

Sessions and calls are views on Arrow columns, made when they are asked for; what is counted is counted natively. Times are `datetime`
without a zone, in UTC. A generator's first data set is that of `populace generate traces` with the same seed and options.
"""

from populace.traces._calls import APICall, Session
from populace.traces._dataset import Dataset
from populace.traces._generator import SyntheticGenerator
from populace.traces._sequences import SequenceBuilder
from populace.traces._workflow import WorkflowDefinition, create_microservices_workflow, create_simple_workflow

__all__ = [
    "APICall", "Dataset", "SequenceBuilder", "Session", "SyntheticGenerator", "WorkflowDefinition", "create_microservices_workflow",
    "create_simple_workflow",
]  # fmt: skip

