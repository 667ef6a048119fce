"""~C in a session with a terminal, and forwards that come and go while it lasts."""

import contextlib
import socket

import pytest

from tests.integration.forward_peers import LOCALHOST, EchoServer, exchange, free_port
from tests.pty_process import PtyProcess

pytestmark = pytest.mark.one_pair


@contextlib.contextmanager
def shell(qsh, *options):
    command = qsh.command(*options, "-t", "host", "PS1='remote$ ' exec sh")
    with PtyProcess(command, qsh.environment) as terminal:
        terminal.expect(r"remote\$ $")
        yield terminal


def say(terminal, line, answer):
    """Type a line at the command line; wait for its answer."""
    terminal.output = b""
    terminal.write("\r")
    terminal.expect(r"remote\$ $")
    terminal.write("~C")
    terminal.expect("qsh> $")
    terminal.output = b""
    terminal.write(line + "\r")
    return terminal.expect(answer)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((LOCALHOST, port)) == 0


def test_forwards_are_added_and_ended(qsh):
    near, far, proxy = free_port(), free_port(), free_port()
    with EchoServer() as echo, shell(qsh, "-o", "EnableEscapeCommandline=yes") as terminal:
        say(terminal, f"-L {near}:{LOCALHOST}:{echo.port}", f"Forwarding port {near}.")
        assert exchange(near, b"near") == b"near"
        say(terminal, f"-R {far}:{LOCALHOST}:{echo.port}", f"Forwarding port {far}.")
        assert exchange(far, b"far") == b"far"
        say(terminal, f"-D {proxy}", f"Forwarding port {proxy}.")
        for letter, port in (("L", near), ("R", far), ("D", proxy)):
            assert listens(port)
            say(terminal, f"-K{letter} {port}", "Canceled forwarding.")
            assert not listens(port)
        say(terminal, f"-KL {near}", "nothing is forwarded from")
        say(terminal, "nonsense", "Invalid command")
        say(terminal, "help", "Request local forward")
        terminal.write("echo still he''re\r")
        terminal.expect("^still here$")


def test_a_port_that_the_server_chooses_is_told_and_can_be_ended(qsh):
    with EchoServer() as echo, shell(qsh, "-o", "EnableEscapeCommandline=yes") as terminal:
        target = f"{LOCALHOST}:{echo.port}"
        port = int(say(terminal, f"-R 0:{target}", r"Forwarding port (\d+)\.").group(1))
        assert exchange(port, b"x") == b"x"
        say(terminal, f"-KR {port}", "Canceled forwarding.")
        assert not listens(port)


def test_what_the_server_refuses_is_told(own_daemon, new_client):
    qsh = new_client(own_daemon("AllowTcpForwarding no"))
    with shell(qsh, "-o", "EnableEscapeCommandline=yes") as terminal:
        say(terminal, "-R 0:h:1", "the server refuses to listen on")


def test_there_is_none_unless_it_is_permitted(qsh):
    with shell(qsh) as terminal:
        terminal.write("\r~C")
        terminal.expect("commandline disabled")
