"""The files for administrators' tools, judged by those tools where they are installed."""

import re
import shutil
import subprocess

import pytest

from tests.sources import ROOT

UNITS = ROOT / "packaging" / "systemd"
MOST_EXPOSED = 3.0
"""Of 10, for the unit that faces the network."""


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_exposure_of_the_network_unit():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNITS / "qshd.service"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if "unrecognized option" in done.stderr:
        pytest.skip("an older systemd-analyze")
    found = re.search(r"Overall exposure level for qshd\.service: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= MOST_EXPOSED


def directives(name):
    lines = (UNITS / name).read_text().splitlines()
    return [line for line in lines if "=" in line and not line.startswith("#")]


def test_the_bounding_set_is_what_the_listener_needs():
    """To bind port 22, and to make its children somebody else in an empty folder."""
    (line,) = [one for one in directives("qshd.service") if one.startswith("CapabilityBounding")]
    assert set(line.partition("=")[2].split()) == {
        "CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_CHROOT",
    }  # fmt: skip


def test_a_worker_may_have_its_empty_root():
    """chroot(2) is in @mount, which is taken away: it must come back after that."""
    filters = [line for line in directives("qshd.service") if line.startswith("SystemCallFilter=")]
    assert "chroot" in filters[-1].partition("=")[2].split()


def test_users_shells_outlive_both_units_and_are_in_no_sandbox():
    for name in ("qshd.service", "qshd-sessions.service"):
        assert "KillMode=process" in directives(name)
    shut_in = re.compile(r"(Protect|Private|Restrict|NoNewPriv|SystemCall|Capability|Inaccessible)")
    assert not [line for line in directives("qshd-sessions.service") if shut_in.match(line)]
