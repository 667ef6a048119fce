"""Everything that proves qsh: `python -m tests`."""
