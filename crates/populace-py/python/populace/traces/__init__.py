"""API call sessions with a known Markov chain: workflows, generated data sets, sequences.

>>> from populace.traces import SequenceBuilder, SyntheticGenerator
>>> gen = SyntheticGenerator(seed=42)
>>> dataset = gen.generate_dataset(num_users=200)
>>> learned = SequenceBuilder().get_transition_probabilities(dataset.sessions)
>>> abs(learned["/api/login"]["/api/users/{id}/profile"] - 0.8) < 0.1
True

The modules have the names that they have in the generator that this replaces: `preprocessing.models` is `populace.traces.models`. Times
are `datetime` without a zone, in UTC. A generator's first data set is that of `populace generate traces` with the same seed and options.
"""

from populace.traces.feature_engineer import FeatureEngineer
from populace.traces.models import APICall, Dataset, Session
from populace.traces.sequence_builder import ContextualSequence, SequenceBuilder
from populace.traces.synthetic_generator import (
    SyntheticGenerator, WorkflowDefinition, create_microservices_workflow, create_simple_workflow,
)  # fmt: skip

__all__ = [
    "APICall", "ContextualSequence", "Dataset", "FeatureEngineer", "SequenceBuilder", "Session", "SyntheticGenerator", "WorkflowDefinition",
    "create_microservices_workflow", "create_simple_workflow",
]  # fmt: skip
