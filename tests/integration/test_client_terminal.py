"""The client at a terminal as a shell's job: stopped, continued, listed, in the background."""

import time

import pytest

from tests.integration.forward_peers import EchoServer, free_port
from tests.integration.forward_peers import connect as connect_to
from tests.integration.test_promise_terminal import PLAIN_SHELL

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
