//! What users of the scenario rely on.
