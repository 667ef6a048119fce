"""An emulated wide-area network: `python -m tests.wan --help`, and `Wan` for tests."""
