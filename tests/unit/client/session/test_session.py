"""A session against a scripted server, on real pipes and pseudo-terminals."""

import asyncio
import os
import pty
import signal
import termios

import pytest

from qsh.client.plan import LocalTerminal, plan_session
from qsh.client.session.console import Console
from qsh.client.session.session import Ending, Session
from qsh.config.client_settings import ClientSettings
from qsh.errors import ChannelOpenError, NetworkError, OpenFailure, QshError, RequestError
from qsh.wire.channel_messages import BreakRequest, ExitSignal, ExitStatus, WindowChange
from qsh.wire.start_messages import EnvRequest, ExecRequest, PtyRequest, ShellRequest
from tests.pair import Pair


class Stdio:
    """Our ends of a session's three files; input is a pipe or a terminal."""

    def __init__(self, terminal=False):
        self.fds = []
        if terminal:
            self.typing, self.input = self._keep(*pty.openpty())
        else:
            self.input, self.typing = self._keep(*os.pipe())
        self.stdout, out = self._keep(*os.pipe())
        self.stderr, err = self._keep(*os.pipe())
        self.outputs = (out, err)

    def _keep(self, *fds):
        self.fds += fds
        return fds

    def type(self, data):
        os.write(self.typing, data)

    def end_input(self):
        self.drop(self.typing)

    def drop(self, fd):
        self.fds.remove(fd)
        os.close(fd)

    def written(self):
        """What came out, when everything is over."""
        for fd in self.outputs:
            self.drop(fd)
        with os.fdopen(os.dup(self.stdout), "rb") as out, os.fdopen(os.dup(self.stderr),
                                                                   "rb") as err:
            return out.read(), err.read()

    def close(self):
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def stdio():
    made = Stdio()
    yield made
    made.close()


@pytest.fixture
def terminal():
    made = Stdio(terminal=True)
    yield made
    made.close()


def play(stdio, serve, *command, environment=None, **settings):
    """Run a session while `serve(channel, requests…)` plays the server; its exit status."""
    settings = ClientSettings("h", "h", "u", **settings)
    console = Console(stdio.input)
    facts = LocalTerminal(console.is_terminal, 80, 24)
    plan = plan_session(settings, command, environment or {}, facts)

    async def main():
        async with Pair() as pair:
            await pair.log_in()
            session = Session(pair.client, plan, console, "h", stdio.outputs)
            session.open()
            channel = await pair.server.accept_channel()
            serving = asyncio.ensure_future(serve(channel))
            try:
                return await asyncio.wait_for(session.run(), 20)
            finally:
                if not serving.done():
                    serving.cancel()
                else:
                    serving.result()

    return asyncio.run(main())


async def start(channel, *, grant=True):
    """Accept the channel and grant all requests up to the one that starts something."""
    channel.accept()
    seen = []
    while not seen or not isinstance(seen[-1], ShellRequest | ExecRequest):
        request = await channel.next_request()
        seen.append(request.body)
        channel.answer(request, grant)
    return seen


async def until_raw(terminal):
    while termios.tcgetattr(terminal.input)[3] & termios.ECHO:
        await asyncio.sleep(0.005)


async def finish(channel, ending):
    channel.write_eof()
    channel.send_request(ending)
    channel.close()


def test_bytes_both_ways_and_the_status(stdio):
    data = bytes(range(256)) * 3000
    stdio.type(b"input\x00\xff")
    stdio.end_input()

    async def serve(channel):
        assert await start(channel) == [EnvRequest("A", "b"), ExecRequest(b"run it")]
        assert await channel.read() == b"input\x00\xff"
        assert await channel.read() == b""
        channel.send_request(BreakRequest(1))  # nonsense from a server is no obstacle
        await channel.write(b"out" + data[:9])
        await channel.write(b"err", 1)
        await finish(channel, ExitStatus(42))

    assert play(stdio, serve, "run", "it", environment={"A": "b"}, send_env=("A",)) == 42
    assert stdio.written() == (b"out" + data[:9], b"err")


@pytest.mark.parametrize(
    ("ending", "status"),
    [(ExitStatus(0), 0), (ExitStatus(255), 255), (ExitSignal("TERM", False), 143),
     (ExitSignal("KILL", True), 137), (ExitSignal("NOSUCH", False), 255)],
)
def test_how_the_command_ended(stdio, ending, status):
    async def serve(channel):
        await start(channel)
        await finish(channel, ending)

    assert play(stdio, serve, "x", stdin_null=True) == status


def test_killed_is_told_except_for_what_happens_all_day(stdio, capfd):
    async def serve(channel):
        await start(channel)
        await finish(channel, ExitSignal("SEGV", True))

    play(stdio, serve, "x")
    assert "killed by signal SEGV (core dumped)" in capfd.readouterr().err

    async def serve_pipe(channel):
        await start(channel)
        await finish(channel, ExitSignal("PIPE", False))

    play(stdio, serve_pipe, "x")
    assert capfd.readouterr().err == ""


def test_an_end_without_a_word(stdio, capfd):
    async def serve(channel):
        await start(channel)
        channel.close()

    assert play(stdio, serve, "x") == 255
    assert "without an exit status" in capfd.readouterr().err
    assert Ending().exit_status == 255


def test_no_input(stdio):
    async def serve(channel):
        await start(channel)
        assert await channel.read() == b""
        await finish(channel, ExitStatus(0))

    assert play(stdio, serve, "x", stdin_null=True) == 0


def test_a_refused_channel(stdio):
    async def serve(channel):
        channel.refuse(OpenFailure.ADMINISTRATIVELY_PROHIBITED, "no sessions today")

    with pytest.raises(ChannelOpenError, match="no sessions today"):
        play(stdio, serve, "x")


@pytest.mark.parametrize(("command", "what"), [(("x",), "the command"), ((), "a shell")])
def test_a_refused_command(stdio, command, what):
    async def serve(channel):
        await start(channel, grant=False)

    with pytest.raises(RequestError, match=f"h refuses to run {what}"):
        play(stdio, serve, *command)


def test_a_refused_terminal_is_told_and_the_session_goes_on(terminal, capfd):
    async def serve(channel):
        channel.accept()
        channel.answer(await channel.next_request(), False)
        channel.answer(await channel.next_request(), True)
        await finish(channel, ExitStatus(0))

    assert play(terminal, serve) == 0
    assert "no pseudo-terminal" in capfd.readouterr().err


def test_a_lost_connection(stdio):
    async def serve(channel):
        await start(channel)
        await channel.write(b"the last word")
        await asyncio.sleep(0.05)
        channel.connection.close(11, "shutting down")

    with pytest.raises(NetworkError, match="shutting down"):
        play(stdio, serve, "x")
    assert stdio.written()[0] == b"the last word"


def test_a_disk_that_is_full(stdio):
    full = os.open("/dev/full", os.O_WRONLY)
    stdio.fds.append(full)
    stdio.outputs = (full, stdio.outputs[1])

    async def serve(channel):
        await start(channel)
        await channel.write(b"x")
        await channel.wait_closed()

    with pytest.raises(QshError, match="standard output: No space left"):
        play(stdio, serve, "x")


def test_input_that_cannot_be_read(stdio, tmp_path, capfd):
    stdio.input = os.open(tmp_path, os.O_RDONLY)
    stdio.fds.append(stdio.input)

    async def serve(channel):
        await start(channel)
        assert await channel.read() == b""
        await finish(channel, ExitStatus(0))

    assert play(stdio, serve, "x") == 0
    assert "cannot read standard input: Is a directory" in capfd.readouterr().err


# ---------------------------------------------------------------- with a terminal


def test_the_terminal_is_raw_meanwhile_and_given_back(terminal, capfd):
    before = termios.tcgetattr(terminal.input)

    async def serve(channel):
        pty_request, _ = await start(channel)
        assert isinstance(pty_request, PtyRequest)
        assert (pty_request.columns, pty_request.rows) == (80, 24)
        await until_raw(terminal)
        terminal.type(b"\x03")
        assert await channel.read() == b"\x03"
        await finish(channel, ExitStatus(3))

    assert play(terminal, serve) == 3
    assert termios.tcgetattr(terminal.input) == before
    assert capfd.readouterr().err == "qsh: Connection to h closed.\n"


def test_the_size_follows(terminal):
    async def serve(channel):
        await start(channel)
        await until_raw(terminal)
        termios.tcsetwinsize(terminal.input, (50, 132))
        os.kill(os.getpid(), signal.SIGWINCH)
        request = await channel.next_request()
        assert request.body == WindowChange(132, 50, 0, 0)
        await finish(channel, ExitStatus(0))

    assert play(terminal, serve) == 0


def test_tilde_dot_leaves_although_nobody_answers(terminal, capfd):
    async def serve(channel):
        await start(channel)
        await until_raw(terminal)
        terminal.type(b"~.")
        await asyncio.sleep(20)

    assert play(terminal, serve) == 255
    assert capfd.readouterr().err.splitlines() == ["~.", "qsh: Connection to h closed."]


def test_escapes_that_do_something_else(terminal, capfd):
    async def serve(channel):
        await start(channel)
        await until_raw(terminal)
        terminal.type(b"~?~#~v~VA~B\r~B")
        assert await channel.read() == b"A~B\r"
        assert (await channel.next_request()).body == BreakRequest(1000)
        await finish(channel, ExitStatus(0))

    assert play(terminal, serve) == 0
    shown = capfd.readouterr().err
    assert "Supported escape sequences" in shown
    assert "#1 session (sending: flowing, receiving: flowing)" in shown
    assert "log level VERBOSE\n~V\nlog level INFO" in shown


def test_continued_after_a_stop(terminal):
    async def serve(channel):
        await start(channel)
        await until_raw(terminal)
        cooked = termios.tcgetattr(terminal.input)
        cooked[3] |= termios.ECHO
        termios.tcsetattr(terminal.input, termios.TCSANOW, cooked)
        os.kill(os.getpid(), signal.SIGCONT)
        assert isinstance((await channel.next_request()).body, WindowChange)
        assert not termios.tcgetattr(terminal.input)[3] & termios.ECHO
        await finish(channel, ExitStatus(0))

    assert play(terminal, serve) == 0


def test_a_pipe_may_type_too(stdio):
    stdio.type(b"ls\n")
    stdio.end_input()

    async def serve(channel):
        await start(channel)
        assert await channel.read() == b"ls\n"
        assert await channel.read() == b""
        await finish(channel, ExitStatus(0))

    assert play(stdio, serve, request_tty="force") == 0


def test_typing_waits_at_some_point_when_the_network_does_not_take_it(stdio, monkeypatch):
    from qsh.client.session import keys

    monkeypatch.setattr(keys, "MOST_UNSENT", 1000)
    data = os.urandom(50_000).replace(b"~", b"x")
    stdio.type(data)
    stdio.end_input()

    async def serve(channel):
        await start(channel)
        got = b""
        while piece := await channel.read():
            got += piece
        assert got == data
        await finish(channel, ExitStatus(0))

    assert play(stdio, serve, request_tty="force") == 0
