"""Copying between channels and real descriptors: pipes, terminals, sockets, files."""

import asyncio
import errno
import fcntl
import os
import pty
import random
import socket
import threading
import tty
from contextlib import suppress

import pytest

from qsh.net.splice import END_OF_WRITE, copy_from, copy_to, open_sink, open_source

DATA = random.Random(5).randbytes(3_000_000)


class Channel:
    """The byte side of a channel, without a network: what is written can be read."""

    def __init__(self, *parts):
        self.parts = list(parts)
        self.written = []
        self.eof = False
        self.requests = []

    async def read(self, data_type=0, limit=1 << 20):
        await asyncio.sleep(0)
        return self.parts.pop(0) if self.parts else b""

    async def write(self, data, data_type=0):
        await asyncio.sleep(0)
        self.written.append((data_type, data))

    def write_eof(self):
        self.eof = True

    def send_request(self, body):
        self.requests.append(body)

    @property
    def content(self):
        return b"".join(data for _, data in self.written)


def pieces(data, size=100_000):
    return [data[at : at + size] for at in range(0, len(data), size)]


def is_blocking(*fds):
    return not any(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK for fd in fds)


def in_background(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def write_and_close(fd, data=DATA):
    for part in pieces(data):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(fd, rest) :]
    os.close(fd)


def drain(fd, into):
    while data := os.read(fd, 65536):
        into.append(data)


def run(main):
    return asyncio.run(asyncio.wait_for(main, 20))


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):  # the test closed it
            os.close(end)


def test_from_a_pipe_to_its_end(pipe):
    ours, theirs = pipe
    in_background(lambda: write_and_close(theirs))
    channel = Channel()
    assert run(copy_from(ours, channel)) == len(DATA)
    assert channel.content == DATA
    assert channel.eof
    assert is_blocking(ours)


def test_extended_data_has_no_eof_of_its_own(pipe):
    ours, theirs = pipe
    in_background(lambda: write_and_close(theirs, b"warning"))
    channel = Channel()
    run(copy_from(ours, channel, 1))
    assert channel.written == [(1, b"warning")]
    assert not channel.eof


def test_to_a_pipe_whose_reader_is_slow(pipe):
    ours, theirs = pipe
    got, finished = [], []
    reading = in_background(lambda: drain(ours, got))
    channel = Channel(*pieces(DATA))
    assert run(copy_to(channel, theirs, finish=lambda: finished.append(True))) == len(DATA)
    assert finished == [True]
    assert is_blocking(theirs)
    os.close(theirs)
    reading.join(10)
    assert b"".join(got) == DATA


def test_a_pipe_that_is_full_stops_nobody_else(pipe):
    _, theirs = pipe

    async def main():
        ticks = 0
        copying = asyncio.ensure_future(copy_to(Channel(*pieces(DATA)), theirs))
        while ticks < 20:
            await asyncio.sleep(0.005)
            ticks += 1
        assert not copying.done()
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)

    run(main())
    assert is_blocking(theirs)


@pytest.mark.parametrize("is_threaded", [False, True])
def test_when_nobody_reads_the_peer_is_told_and_the_channel_lives(pipe, is_threaded, monkeypatch):
    if is_threaded:
        monkeypatch.setattr("qsh.net.splice._opened_again", lambda fd, access: None)
    ours, theirs = pipe
    os.close(ours)
    channel = Channel(*pieces(DATA))
    assert run(copy_to(channel, theirs)) == 0
    assert channel.requests == [END_OF_WRITE]
    assert not channel.parts


def test_files(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(DATA)
    channel = Channel()
    with source.open("rb") as file:
        run(copy_from(file.fileno(), channel))
        assert file.tell() == len(DATA)
    assert channel.content == DATA
    with target.open("wb") as file:
        run(copy_to(Channel(*pieces(DATA)), file.fileno()))
    assert target.read_bytes() == DATA


def test_a_file_is_read_from_where_it_stands(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    channel = Channel()
    with path.open("rb", buffering=0) as file:
        file.seek(4)
        run(copy_from(file.fileno(), channel))
    assert channel.content == b"456789"


def test_devices():
    channel = Channel()
    with open("/dev/null", "r+b", buffering=0) as null:
        assert run(copy_from(null.fileno(), channel)) == 0
        assert run(copy_to(Channel(b"gone"), null.fileno())) == 4
    assert channel.eof


def test_a_full_device_is_an_error():
    with open("/dev/full", "wb", buffering=0) as full:
        with pytest.raises(OSError, match="No space left") as caught:
            run(copy_to(Channel(b"x"), full.fileno()))
        assert caught.value.errno == errno.ENOSPC


def test_sockets_keep_their_mode_and_their_other_half():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        got = []

        def peer():
            drain(theirs.fileno(), got)
            theirs.sendall(b"answer")
            theirs.shutdown(socket.SHUT_WR)

        in_background(peer)
        channel = Channel(*pieces(DATA))

        async def main():
            await copy_to(channel, ours.fileno(), finish=lambda: ours.shutdown(socket.SHUT_WR))
            await copy_from(ours.fileno(), channel)

        run(main())
        assert b"".join(got) == DATA
        assert channel.content == b"answer"
        assert is_blocking(ours.fileno())


def test_a_terminal_in_both_directions():
    master, slave = pty.openpty()
    tty.setraw(slave)
    channel = Channel(b"to the screen")

    async def main():
        reading = asyncio.ensure_future(copy_from(slave, channel))
        await asyncio.sleep(0.05)
        os.write(master, b"keys")
        await copy_to(channel, slave)
        while channel.content != b"keys":
            await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    run(main())
    assert os.read(master, 100) == b"to the screen"
    assert is_blocking(slave, master)
    os.close(slave)
    os.close(master)


def test_a_terminal_that_hangs_up_is_at_its_end():
    master, slave = pty.openpty()

    async def main():
        reading = asyncio.ensure_future(copy_from(slave, Channel()))
        await asyncio.sleep(0.05)
        os.close(master)
        assert await reading == 0

    run(main())
    os.close(slave)


def test_the_master_of_a_terminal_is_not_opened_again():
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    tty.setraw(slave)
    channel = Channel()

    async def main():
        reading = asyncio.ensure_future(copy_from(master, channel))
        os.write(slave, b"output")
        while not channel.written:
            await asyncio.sleep(0.01)
        os.close(slave)
        await reading

    run(main())
    assert channel.content == b"output"
    os.close(master)


def test_closing_wakes_whoever_waits(pipe):
    ours, _ = pipe

    async def main():
        source = open_source(ours)
        reading = asyncio.ensure_future(source.read())
        await asyncio.sleep(0.01)
        source.close()
        source.close()
        with pytest.raises(OSError, match="closed"):
            await reading

    run(main())


def test_a_thread_that_still_writes_keeps_its_descriptor(pipe, monkeypatch):
    monkeypatch.setattr("qsh.net.splice._opened_again", lambda fd, access: None)
    ours, theirs = pipe
    got = []

    async def main():
        sink = open_sink(theirs)
        writing = asyncio.ensure_future(sink.write(DATA))
        await asyncio.sleep(0.05)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        sink.close()
        os.close(theirs)

    run(main())
    drain(ours, got)
    assert b"".join(got) == DATA
