"""The packages under a real systemd, booted in namespaces of its own (systemd_boot.sh)."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.harness import missing_programs
from tests.integration.raw_client import wait_until
from tests.integration.test_server_package import packages, run  # noqa: F401
from tests.sources import ROOT

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        bool(missing_programs("debootstrap", "dpkg-deb", "unshare", "nsenter")),
        reason="no Debian tools here",
    ),
]

HERE = ROOT / "tests" / "integration"
INCLUDE = ("systemd,systemd-sysv,dbus,libpam-systemd,python3,libpam-modules,passwd,openssh-client,"
           "procps,iproute2")  # fmt: skip
EXPECTED = [
    "the units", "a login", "a session of logind's", "known to loginctl",
    "restart of the network part", "restart of the sessions' part", "reload", "kill -9",
    "an upgrade", "a login after all that", "nothing odd in the journal",
]  # fmt: skip


@pytest.fixture
def booted(tmp_path):
    """(root, PID of its systemd)."""
    root = tmp_path / "root"
    given = os.environ.get("QSH_TEST_SYSTEMD_ROOT")  # made before, so that it can be repeated
    if given:
        run("cp", "-a", given, root)
    else:
        run("debootstrap", "--variant=minbase", f"--include={INCLUDE}", release(), root)
    log = (tmp_path / "boot.log").open("wb")
    outside = subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "--net", "--ipc", "--uts", "--cgroup",
         "sh", HERE / "systemd_boot.sh", root],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    try:
        assert wait_until(lambda: children(outside.pid), 20)
        (pid,) = children(outside.pid)
        if not wait_until(lambda: is_up(pid), 60):
            pytest.skip("systemd does not boot here: "
                        + (tmp_path / "boot.log").read_text()[-500:])  # fmt: skip
        yield root, pid
    finally:
        for child in children(outside.pid):
            os.kill(child, signal.SIGKILL)
        outside.wait()
        log.close()
        time.sleep(0.5)
        run("rm", "-rf", "--one-file-system", root)


def release():
    """That of this machine, whose Python the packages are built for."""
    words = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if line
    )
    return words.get("VERSION_CODENAME", "stable").strip('"')


def children(pid):
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def inside(pid, *command, **options):
    """Run it where that systemd is."""
    enter = ["nsenter", "-t", str(pid), "-m", "-p", "-n", "-i", "-u", "-C",
             f"--root=/proc/{pid}/root", f"--wd=/proc/{pid}/root", "env", "-i",
             "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]  # fmt: skip
    return subprocess.run([*enter, *command], capture_output=True, text=True, **options)


def is_up(pid):
    done = inside(pid, "systemctl", "is-system-running")
    return done.stdout.strip() in ("running", "degraded")


def test_both_units_under_a_live_shell(booted, packages):  # noqa: F811
    root, pid = booted
    for path in packages:
        run("cp", path, root / "root")
    run("cp", HERE / "systemd_use.sh", root / "root")
    done = inside(pid, "bash", "/root/systemd_use.sh", timeout=300)
    print(done.stdout, done.stderr)
    assert done.stdout.splitlines() == [f"ok {name}" for name in EXPECTED], done.stderr
