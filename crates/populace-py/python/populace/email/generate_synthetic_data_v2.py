"""Engagement with email, the second version of its scenario: `python -m populace.email.generate_synthetic_data_v2`."""

from __future__ import annotations

import sys

from populace.email.generate_synthetic_data import main

if __name__ == "__main__":
    sys.exit(main(scenario="email"))
