"""Copying between a channel and file descriptors: pipes, terminals, sockets, files.

A descriptor that was inherited is shared with other processes, and O_NONBLOCK is a flag of what
is shared: set, it would break a shell or a pager afterwards. So nothing here ever sets it. Pipes
and terminals are opened again through /proc where that works, which gives a private open file;
sockets are asked per call (MSG_DONTWAIT); files are read directly as far as the page cache has
them; whatever is left is read and written by a thread.
"""

import asyncio
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from qsh.net.tasks import Caller
from qsh.wire.channel_messages import UnknownRequest

READ_SIZE = 256 * 1024
"""Bytes of one read."""
PIPE_SIZE = 1 << 20
"""Bytes asked for as a pipe's capacity: the most that users may have by default on Linux."""
END_OF_WRITE = UnknownRequest("eow@openssh.com", b"")
"""Nobody reads this side's output any more (OpenSSH's PROTOCOL section 2.1)."""

_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EIO, errno.ENOTCONN)
"""Errors that mean: the other end is closed. EIO is a terminal's way to say so."""


class ByteChannel(Protocol):
    """What copying needs of a channel (see qsh.net.channel)."""

    async def read(self, data_type: int = 0, limit: int = ...) -> bytes: ...

    async def write(self, data: bytes, data_type: int = 0) -> None: ...

    def write_eof(self) -> None: ...

    def send_request(self, body: object) -> None: ...


class Source(Protocol):
    """Something to read from."""

    async def read(self) -> bytes:
        """Some bytes; empty at the end. Raises OSError."""

    def close(self) -> None:
        """Let go of what was opened for reading; the given descriptor stays open."""


class Sink(Protocol):
    """Something to write to."""

    async def write(self, data: bytes) -> None:
        """Write all of it. Raises OSError."""

    def close(self) -> None:
        """Let go of what was opened for writing; the given descriptor stays open."""


async def copy_from(source: Source | int, channel: ByteChannel, data_type: int = 0) -> int:
    """Copy to the channel until the source ends, then send EOF (for extended data: nothing, as
    there is one EOF per channel). Returns the count of bytes.

    Raises NetworkError if the channel goes away, OSError if reading fails.
    """
    opened = open_source(source) if isinstance(source, int) else source
    count = 0
    try:
        while data := await opened.read():
            await channel.write(data, data_type)
            count += len(data)
    finally:
        if opened is not source:
            opened.close()
    if data_type == 0:
        channel.write_eof()
    return count


async def copy_to(
    channel: ByteChannel,
    sink: Sink | int,
    data_type: int = 0,
    finish: Callable[[], None] | None = None,
) -> int:
    """Copy from the channel until its EOF, then call `finish` (to close or shut down what is
    behind the sink). Returns the count of bytes written.

    When nobody reads the sink any more the peer is told to stop, and what still comes is read
    and dropped: the channel itself lives on, for its exit status. Raises NetworkError if the
    channel goes away, OSError if writing fails otherwise.
    """
    opened = open_sink(sink) if isinstance(sink, int) else sink
    count = 0
    try:
        while data := await channel.read(data_type, READ_SIZE):
            try:
                await opened.write(data)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                channel.send_request(END_OF_WRITE)
                await _drop(channel, data_type)
                break
            count += len(data)
    finally:
        if opened is not sink:
            opened.close()
        if finish is not None:
            finish()
    return count


async def _drop(channel: ByteChannel, data_type: int) -> None:
    while await channel.read(data_type, READ_SIZE):
        pass


def open_source(fd: int) -> Source:
    """The best way to read from the descriptor without changing it for others."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        return _ReadySource(fd, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(mode):
        _enlarge_pipe(fd)
    if stat.S_ISREG(mode) and hasattr(os, "RWF_NOWAIT"):
        return _FileSource(fd)
    private = _private_open_file(fd, mode, os.O_RDONLY)
    return _ReadySource(private) if private is not None else _ThreadSource(fd)


def open_sink(fd: int) -> Sink:
    """The best way to write to the descriptor without changing it for others."""
    found = os.fstat(fd)
    mode = found.st_mode
    if stat.S_ISCHR(mode) and os.major(found.st_rdev) == _MEMORY_DEVICES:
        return _ReadySink(os.dup(fd))
    if stat.S_ISSOCK(mode):
        return _ReadySink(fd, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(mode):
        _enlarge_pipe(fd)
    private = _private_open_file(fd, mode, os.O_WRONLY)
    return _ReadySink(private) if private is not None else _ThreadSink(fd)


def enlarge_socket(sock: socket.socket) -> None:
    """Have room for several large messages to a process on this machine, where that is allowed:
    the default is less than one read, and every write would wait for its reader."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIPE_SIZE)


def _enlarge_pipe(fd: int) -> None:
    with suppress(OSError, AttributeError):
        if fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) < PIPE_SIZE:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


def _private_open_file(fd: int, mode: int, access: int) -> int | None:
    """A non-blocking descriptor for the same pipe or terminal, if one can be had."""
    if not stat.S_ISFIFO(mode) and not os.isatty(fd):
        return None
    private = _opened_again(fd, access)
    if private is None and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK:
        return os.dup(fd)  # whoever set the flag meant it
    return private


_MEMORY_DEVICES = 1
"""Linux' major number of /dev/null and its like: writing to them never waits."""
_PTMX = os.makedev(5, 2)
"""Linux' device of all pseudo-terminal masters."""


def _opened_again(fd: int, access: int) -> int | None:
    """A new open file, whose flags nobody shares."""
    found = os.fstat(fd)
    if found.st_rdev == _PTMX:
        return None  # opening it again makes a new pseudo-terminal
    try:
        path = os.ttyname(fd) if os.isatty(fd) else f"/proc/self/fd/{fd}"
        private = os.open(path, access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    if not os.path.samestat(os.fstat(private), found):
        os.close(private)
        return None
    return private


class _Ready:
    """A descriptor of which the loop knows when it is ready. With `flags` it is a socket that
    belongs to the caller, else a private descriptor, closed with this."""

    def __init__(self, fd: int, flags: int | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = os.dup(fd) if flags is not None else fd
        self._flags = flags or 0
        self._socket = socket.socket(fileno=self._fd) if flags is not None else None
        self._waiter: asyncio.Future[None] | None = None

    def close(self) -> None:
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._fd)
        self._fd = -1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(OSError(errno.EBADF, "closed"))

    async def _wait(self, watch: Callable[..., object], unwatch: Callable[[int], object]) -> None:
        self._waiter = waiter = self._loop.create_future()
        watch(self._fd, _settle, waiter)
        try:
            await waiter
        finally:
            if self._fd >= 0:
                unwatch(self._fd)


def _settle(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class _ReadySource(_Ready):
    async def read(self) -> bytes:
        """Some bytes, as soon as there are any."""
        while True:
            try:
                if self._socket is not None:
                    return self._socket.recv(READ_SIZE, self._flags)
                return os.read(self._fd, READ_SIZE)
            except (BlockingIOError, InterruptedError):
                await self._wait(self._loop.add_reader, self._loop.remove_reader)
            except OSError as error:
                if error.errno != errno.EIO:  # a pseudo-terminal whose other end is closed
                    raise
                return b""


class _ReadySink(_Ready):
    async def write(self, data: bytes) -> None:
        """All of it, in as many calls as it takes."""
        rest = memoryview(data)
        while rest:
            try:
                if self._socket is not None:
                    count = self._socket.send(rest, self._flags)
                else:
                    count = os.write(self._fd, rest)
                rest = rest[count:]
            except (BlockingIOError, InterruptedError):
                await self._wait(self._loop.add_writer, self._loop.remove_writer)


class _Threaded:
    """Blocking calls in a thread, on a duplicate that outlives a cancelled one."""

    def __init__(self, fd: int) -> None:
        self._fd = os.dup(fd)
        self._caller = Caller()
        self._calls = 0
        self._closed = False

    def close(self) -> None:
        self._closed = True
        self._caller.close()
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._closed and not self._calls and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def _call(self, call: Callable[..., object], argument: object) -> object:
        self._calls += 1
        return await self._caller.call(self._blocking, call, argument)

    def _blocking(self, call: Callable[..., object], argument: object) -> object:
        try:
            return call(self._fd, argument)
        finally:
            self._calls -= 1
            self._close_if_idle()


class _ThreadSource(_Threaded):
    async def read(self) -> bytes:
        """The next block, or what there is of it."""
        data = await self._call(os.read, READ_SIZE)
        assert isinstance(data, bytes)
        return data


class _FileSource(_ThreadSource):
    """A regular file: memory, or a disk that may be slow or, far away, not answer at all."""

    async def read(self) -> bytes:
        """The next block; by the thread if a disk has to be asked."""
        return os.read(self._fd, READ_SIZE) if self._is_cached() else await super().read()

    def _is_cached(self) -> bool:
        """Whether the page cache has the next block's first and last page (preadv2(2)). Beyond the
        file's end everything is known."""
        at = os.lseek(self._fd, 0, os.SEEK_CUR)
        probe = [bytearray(1)]
        try:
            for offset in (at, at + READ_SIZE - 1):
                os.preadv(self._fd, probe, offset, os.RWF_NOWAIT)
        except OSError:  # EAGAIN: not there; EOPNOTSUPP: the file system cannot tell
            return False
        return True


class _ThreadSink(_Threaded):
    async def write(self, data: bytes) -> None:
        """All of it."""
        await self._call(_write_all, data)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
