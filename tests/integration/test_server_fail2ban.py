"""The shipped fail2ban filter finds our own log lines, and only those that are to be found."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.harness import make_key, missing_programs, public
from tests.sources import ROOT

pytestmark = [
    pytest.mark.one_pair,
    pytest.mark.skipif(bool(missing_programs("fail2ban-regex")), reason="no fail2ban here"),
]

FILTER = ROOT / "packaging" / "fail2ban" / "qshd.conf"
COMMON = Path("/etc/fail2ban/filter.d/common.conf")
HEAD = "Nov 22 10:00:00 host qshd[4711]: "


def matched(lines, tmp_path):
    """Those of the lines that would count for a ban."""
    log = tmp_path / "auth.log"
    log.write_text("".join(f"{HEAD}{line}\n" for line in lines))
    folder = tmp_path / "filter.d"  # where it is installed: beside those it includes
    folder.mkdir()
    for path in (FILTER, COMMON):
        (folder / path.name).write_text(path.read_text())
    done = subprocess.run(
        ["fail2ban-regex", "--print-all-matched", "--print-no-missed", log,
         folder / FILTER.name],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return re.findall(rf"^\|\s+{re.escape(HEAD)}(.*)$", done.stdout, re.MULTILINE)


def own_lines(daemon):
    """What syslog would get of the daemon's log."""
    lines = daemon.log.splitlines()
    return [line.removeprefix("qshd: ") for line in lines if line.startswith("qshd: ")]


def test_real_lines(own_daemon, new_client, tmp_path):
    daemon = own_daemon("LogLevel VERBOSE", "MaxAuthTries 3", "LoginGraceTime 30")
    client = new_client(daemon)
    quick = ("-o", "BatchMode=yes")
    assert client.run("host", "true").status == 0
    assert client.run(*quick, "-l", "nobody-of-this-name", "host", "true").status == 255
    daemon.authorize(public(make_key(tmp_path / "other")))
    assert client.run(*quick, "host", "true").status == 255
    assert daemon.wait_for_log("Failed publickey for")
    lines = own_lines(daemon)
    found = matched(lines, tmp_path)
    for text in ("Invalid user nobody-of-this-name from 127.0.0.1",
                 "Failed publickey for invalid user nobody-of-this-name from 127.0.0.1"):
        assert any(line.startswith(text) for line in found), (text, lines)
    assert any(line.startswith("Failed publickey for ") and "invalid" not in line
               for line in found)  # fmt: skip
    assert not any(line.startswith(("Accepted", "Connection from", "Starting session"))
                   for line in found)  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "Failed password for root from 192.0.2.1 port 4242 qsh/1",
        "Failed keyboard-interactive/pam for invalid user x y from 2001:db8::1 port 4242 qsh/1",
        "ROOT LOGIN REFUSED FROM 192.0.2.1 port 4242",
        "Disconnecting authenticating user eve 192.0.2.1 port 4242: "
        "Too many authentication failures [preauth]",
        "Timeout before authentication for connection from 192.0.2.1 port 4242 to ::1 port 22",
        "drop connection #3 from [192.0.2.1]:4242 penalty: failed authentication",
    ],
)  # fmt: skip
def test_lines_that_count(line, tmp_path):
    assert matched([line], tmp_path) == [line]


@pytest.mark.parametrize(
    "line",
    [
        "Accepted publickey for eve from 192.0.2.1 port 4242 qsh/1: ED25519 SHA256:x",
        "Disconnected from user eve 192.0.2.1 port 4242",
        "drop connection #30 from [192.0.2.1]:4242 past Maxstartups",
        "user eve may not move to 192.0.2.7: Match gives other settings there",
    ],
)
def test_lines_that_do_not(line, tmp_path):
    assert matched([line], tmp_path) == []
