"""-X and -Y with a real X server and a real X client."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.harness import missing_programs, public

pytestmark = pytest.mark.one_pair

COOKIE = "0123456789abcdef0123456789abcdef"
FORWARDING = "X11Forwarding yes"


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    """An X server that wants a cookie: what a user's environment says of it."""
    if missing := missing_programs("Xvfb", "xauth", "xdpyinfo"):
        pytest.skip(f"not installed here: {', '.join(missing)}")
    authority = tmp_path_factory.mktemp("x") / "Xauthority"
    environment = {"XAUTHORITY": str(authority)}
    ready, child = os.pipe()
    # Its cookies must be there before it is.
    subprocess.run(["xauth", "-q", "-f", authority, "add", ":0", ".", COOKIE], check=True)
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(child), "-auth", authority, "-nolisten", "tcp", "-noreset",
         "-screen", "0", "320x240x24"], pass_fds=[child], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(child)
    with open(ready, encoding="ascii") as pipe:
        number = pipe.readline().strip()
    subprocess.run(["xauth", "-q", "-f", authority, "add", f":{number}", ".", COOKIE], check=True)
    yield environment | {"DISPLAY": f":{number}"}
    server.terminate()
    server.wait()


@pytest.fixture
def qsh(own_daemon, new_client):
    return new_client(own_daemon(FORWARDING))


@pytest.mark.parametrize("letter", ["-X", "-Y"])
def test_a_far_application_shows_itself_here(qsh, screen, letter):
    done = qsh(letter, "host", "echo $DISPLAY; xdpyinfo", env=screen)
    first, *facts = done.stdout.decode().splitlines()
    assert first.startswith("localhost:")
    assert int(first[10:].split(".")[0]) >= 10
    assert f"name of display:    {first}" in facts, done.stderr
    assert "  dimensions:    320x240 pixels" in done.stdout.decode()


def test_the_far_side_never_sees_the_displays_cookie(qsh, screen):
    done = qsh("-Y", "host", "xauth list $DISPLAY", env=screen)
    _, protocol, data = done.stdout.decode().split()
    assert protocol == "MIT-MAGIC-COOKIE-1"
    assert len(data) == len(COOKIE)
    assert data != COOKIE


def test_who_does_not_know_the_cookie_is_refused(qsh, screen):
    command = "XAUTHORITY=/dev/null xdpyinfo; xauth -q -f other add $DISPLAY . $(printf %032d 1);" \
              " XAUTHORITY=$PWD/other xdpyinfo"  # fmt: skip
    done = qsh("-Y", "host", f"cd $(mktemp -d); {command}", env=screen)
    assert done.stdout == b""
    assert "a far application's X11 connection is refused: wrong X11 authentication" in done.stderr


def test_untrusted_applications_may_do_less(qsh, screen):
    """The SECURITY extension hides others from them."""
    listing = "xdpyinfo | grep -c -e SECURITY -e XTEST -e MIT-SHM"
    trusted = int(qsh("-Y", "host", listing, env=screen).stdout)
    assert int(qsh("-X", "host", listing, env=screen).stdout) < trusted
    qsh.configure("ForwardX11 yes", "ForwardX11Trusted yes")
    assert int(qsh("host", listing, env=screen).stdout) == trusted


def test_untrusted_applications_come_in_time(qsh, screen):
    qsh.configure("ForwardX11 yes", "ForwardX11Timeout 1")
    done = qsh("host", "xdpyinfo | grep -c screens; sleep 1.5; xdpyinfo", env=screen)
    assert done.stdout == b"1\n"
    assert "after ForwardX11Timeout" in done.stderr


def test_each_session_has_a_display_of_its_own_which_ends_with_it(qsh, screen):
    sleeping = qsh.start("-Y", "host", "echo $DISPLAY; exec sleep 60", env=screen)
    first = sleeping.stdout.readline().decode().strip()
    shown = qsh("-Y", "host", "echo $DISPLAY", env=screen).stdout.decode().strip()
    sleeping.terminate()
    sleeping.communicate()
    assert shown != first
    port = 6000 + int(shown[10:].split(".")[0])
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.05)
    raise AssertionError("it still listens")


@pytest.mark.parametrize("options", ["no-X11-forwarding", "restrict"])
def test_a_key_may_forbid_it(own_daemon, new_client, screen, options):
    daemon = own_daemon(FORWARDING)
    qsh = new_client(daemon)
    daemon.authorize(f"{options} {public(qsh.key)}")
    done = qsh("-X", "host", 'echo "[$DISPLAY]"', env=screen)
    assert (done.stdout, done.stderr) == (b"[]\n", "qsh: the server forwards no X11\n")


@pytest.mark.parametrize(
    "lines", [["X11Forwarding no"], [FORWARDING, "DisableForwarding yes"], [],
              [FORWARDING, "XAuthLocation /nowhere/xauth"]],
)  # fmt: skip
def test_the_administrator_may_forbid_it(own_daemon, new_client, screen, lines):
    qsh = new_client(own_daemon(*lines))
    done = qsh("-X", "host", 'echo "[$DISPLAY]"', env=screen)
    assert (done.stdout, done.stderr) == (b"[]\n", "qsh: the server forwards no X11\n")


def test_nothing_is_forwarded_unless_asked_for(qsh, screen):
    assert qsh("host", 'echo "[$DISPLAY]"', env=screen).stdout == b"[]\n"
    qsh.configure("ForwardX11 yes")
    assert qsh("-x", "host", 'echo "[$DISPLAY]"', env=screen).stdout == b"[]\n"


def test_without_a_display_it_is_told_and_the_session_runs(qsh):
    done = qsh("-X", "host", 'echo "[$DISPLAY]"')
    assert (done.status, done.stdout) == (0, b"[]\n")
    assert done.stderr == "qsh: no X11 forwarding: DISPLAY is not set\n"


def test_where_displays_begin_and_for_whom(own_daemon, new_client, screen):
    qsh = new_client(own_daemon(FORWARDING, "X11DisplayOffset 40", "X11UseLocalhost no"))
    done = qsh("-Y", "host", "echo $DISPLAY; cat /proc/net/tcp; xdpyinfo | head -1", env=screen)
    host, _, number = done.stdout.decode().splitlines()[0].rpartition(":")
    assert host == socket.gethostname()
    assert 40 <= int(number.split(".")[0]) < 60
    listener = f"00000000:{6000 + int(number.split('.')[0]):04X} 00000000:0000 0A"
    assert listener in done.stdout.decode()


def test_sshrc_gets_the_cookie_in_the_place_of_xauth(own_daemon, new_client, screen, tmp_path):
    """sshd(8), SSHRC."""
    daemon = own_daemon(FORWARDING)
    home = Path("~").expanduser()
    if (home / ".ssh/rc").exists() or not os.access(home, os.W_OK):
        pytest.skip("the home directory is in use")
    (home / ".ssh").mkdir(mode=0o700, exist_ok=True)
    rc, got = home / ".ssh/rc", tmp_path / "got"
    rc.write_text(f"read proto cookie && echo $proto $DISPLAY > {got}\n")
    try:
        new_client(daemon)("-Y", "host", "true", env=screen)
    finally:
        rc.unlink()
    protocol, display = got.read_text().split()
    assert protocol == "MIT-MAGIC-COOKIE-1"
    assert display.startswith("localhost:")
