"""The client at a terminal as a shell's job: stopped, continued, listed, in the background."""

import os
import pty
import signal
import time

import pytest

from tests.integration.forward_peers import EchoServer, free_port
from tests.integration.forward_peers import connect as connect_to
from tests.integration.harness import Client, public
from tests.integration.raw_client import wait_until
from tests.integration.relay import Relay
from tests.integration.test_promise_terminal import PLAIN_SHELL
from tests.integration.test_resume import cut

pytestmark = pytest.mark.one_pair


@pytest.fixture
def local(qsh, tmux):
    """A local shell with job control in a tmux pane."""
    tmux.start(["env", "PS1=local> ", "bash", "--norc", "--noprofile"], qsh.environment)
    tmux.wait_for("^local>")
    return tmux


def connect(qsh, local):
    local.type(" ".join(qsh.command("-t", "host")) + f' "{PLAIN_SHELL}"')
    local.press("Enter")
    local.wait_for(r"^remote\$")


def test_tilde_control_z_stops_and_fg_continues(qsh, local):
    connect(qsh, local)
    local.press("Enter", "~", "C-z")
    local.wait_for(r"Stopped")
    local.type("stty -a | grep -ow -e -echo -e echo; echo local $((1+1))")
    local.press("Enter")
    screen = local.wait_for("^local 2$")
    assert "\necho\n" in screen
    local.resize(100, 30)
    local.type("fg")
    local.press("Enter")
    local.wait_for("^fg$|qsh")
    local.type("stty size")
    local.press("Enter")
    local.wait_for("^30 100$")
    local.press("Enter", "~", ".")
    local.wait_for("Connection to host closed")
    local.type("echo status $?")
    local.press("Enter")
    local.wait_for("^status 255$")


def test_the_channels_are_listed(qsh, local):
    connect(qsh, local)
    local.press("Enter", "~", "#")
    screen = local.wait_for("#1 session")
    assert "Connected to 127.0.0.1 port" in screen
    assert "round trip" in screen
    local.press("Enter")
    local.type("exit")
    local.press("Enter")
    local.wait_for("Connection to host closed")


def test_ended_from_elsewhere_the_terminal_is_usable(qsh, local):
    connect(qsh, local)
    local.type("kill -TERM $(ps -eo pid,args | grep '[q]sh -F .*-t host' | awk '{print $1}')")
    local.press("Enter")
    local.wait_for("local>$")
    local.press("Enter")
    local.type("echo visible$((1+1))")
    local.press("Enter")
    local.wait_for("^visible2$")


def test_all_escapes_are_told_and_another_character_will_do(qsh, local):
    local.type(" ".join(qsh.command("-t", "-e", "%", "host")) + f' "{PLAIN_SHELL}"')
    local.press("Enter")
    local.wait_for(r"^remote\$")
    local.press("Enter", "%", "?")
    screen = local.wait_for("Escapes are recognized")
    for sign in (". ", "^Z ", "# ", "? ", "& ", "B ", "R ", "V ", "v ", "% "):
        assert f" %{sign}" in screen
    local.press("Enter", "%", "R")
    local.wait_for("QUIC renews the keys by itself")
    local.press("Enter", "~", ".", "Enter")
    local.wait_for("not found")
    local.press("Enter", "%", ".")
    local.wait_for("Connection to host closed")


def test_in_the_background_forwarded_connections_go_on(qsh, local):
    with EchoServer() as echo:
        port = free_port()
        forward = ["-L", f"{port}:127.0.0.1:{echo.port}"]
        local.type(" ".join(qsh.command("-t", *forward, "host")) + f' "{PLAIN_SHELL}"')
        local.press("Enter")
        local.wait_for(r"^remote\$")
        with connect_to(port) as sock:
            sock.sendall(b"before")
            assert sock.recv(100) == b"before"
            local.press("Enter", "~", "&")
            local.wait_for(r"backgrounded")
            local.type("echo status $?")
            local.press("Enter")
            local.wait_for("^status 0$")
            sock.sendall(b"after")
            assert sock.recv(100) == b"after"
        end = time.monotonic() + 15
        while time.monotonic() < end:
            try:
                connect_to(port, 0).close()
            except ConnectionRefusedError:
                break
            time.sleep(0.1)
        else:
            pytest.fail("the background process still listens")


def test_whose_terminal_has_hung_up_does_not_dial_on(own_daemon, engines, tmp_path):
    """Its patience would be that of a terminal: days."""
    daemon = own_daemon()
    relay = Relay(daemon.port)
    client = Client(tmp_path / "far", engines[0], "127.0.0.1", relay.port)
    client.known_hosts.write_text(f"[127.0.0.1]:{relay.port} {public(daemon.host_key)}\n")
    daemon.authorize(public(client.key))
    ours, theirs = pty.openpty()
    messages = tmp_path / "messages"
    with messages.open("wb") as stderr, client.start(
        "-t", "host", "echo ready; sleep 600", stdin=theirs, stdout=theirs, stderr=stderr,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    ) as process:  # fmt: skip
        os.close(theirs)
        assert b"ready" in os.read(ours, 4096)
        relay.lead_to(free_port())
        assert cut(daemon)
        seen = len(relay.up)
        assert wait_until(lambda: sum(size >= 1200 for size in relay.up[seen:]) > 3)  # it dials
        assert process.poll() is None
        os.close(ours)
        assert process.wait(30) == 255
    assert "hung up" in messages.read_text()
    relay.close()
