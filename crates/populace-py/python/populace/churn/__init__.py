"""The modules of the churn generator: `python -m populace.churn.generate_synthetic`, `python -m populace.churn.prepare_dataset`."""
