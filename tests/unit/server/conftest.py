"""Fixtures of the server's tests."""

from tests.pam_system import account, module, service  # noqa: F401
