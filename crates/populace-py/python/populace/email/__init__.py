"""The scripts of the email generators: `python -m populace.email.generate_synthetic_data` and `…_v2`."""
