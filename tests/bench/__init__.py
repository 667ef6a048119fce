"""Figures for the README, each beside OpenSSH's in the same run: `python -m tests.bench --help`."""
