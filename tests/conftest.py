"""Which tests run where: as root or not, with namespaces or not, the short set or all."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests import startup_files


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="also run the tests marked slow")
    parser.addoption("--pairs", choices=["all", "equal", "mixed"], default="all",
                     help="which engines the client and the server of an integration test have")


def pytest_configure(config):
    config.addinivalue_line("markers", "one_pair: run on one pair of engines only")
    config.addinivalue_line("markers", "plain: not for root")
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's children would not hear it either
    if os.geteuid() == 0 and "PYTEST_XDIST_WORKER" not in os.environ:
        with contextlib.suppress(OSError):  # a container may refuse it
            startup_files.hide()  # and the workers inherit it


def pytest_make_parametrize_id(config, val, argname):
    """Bytes and long texts may be made anew by every process (keys, signatures): they cannot
    name a test."""
    is_made = isinstance(val, bytes) or (isinstance(val, str) and len(val) > 60)
    return argname if is_made else None


def missing_for(item, full):
    """Why this test cannot run here; None if it can."""
    is_root = os.geteuid() == 0
    if item.get_closest_marker("root") and not is_root:
        return "needs root"
    if item.get_closest_marker("plain") and is_root:
        return "shows what a user without root meets"
    if item.get_closest_marker("netns") and not (is_root and Path("/dev/net/tun").exists()):
        return "needs root and /dev/net/tun, for network namespaces"
    if item.get_closest_marker("slow") and not full:
        return "long: python -m tests --full"
    return None


def pytest_collection_modifyitems(config, items):
    for item in items:
        if reason := missing_for(item, config.getoption("--full")):
            item.add_marker(pytest.mark.skip(reason=reason))
