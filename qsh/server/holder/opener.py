"""The opener: one process per connection, as the user, that opens the sockets of forwards.

The worker has no rights and the monitor too many, so sockets are made here, with the user's
rights, and passed on (SCM_RIGHTS). What is permitted is judged here and nowhere else: a worker in
a stranger's hands gains nothing by asking. Ends with its worker, and takes the names of Unix
sockets with it.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from typing import Any, NoReturn

from qsh.errors import DecodeError
from qsh.forward import permissions
from qsh.forward.displays import listen_display
from qsh.forward.sockets import NotPermittedError, OwnSockets, explain
from qsh.forward.tunnel_device import open_device, set_size
from qsh.log import logger
from qsh.net.tasks import spawn
from qsh.server.holder.opener_messages import (
    MAX_MESSAGE,
    MAX_PASSED,
    REQUESTS,
    ConnectTcp,
    ConnectUdp,
    ConnectUnix,
    Failed,
    Forbidden,
    ListenAgent,
    ListenTcp,
    ListenUdp,
    ListenUnix,
    ListenX11,
    Opened,
    OpenTunnel,
    ResizeTunnel,
    Unlink,
)
from qsh.server.monitor.forward_rules import OpenerPlan
from qsh.server.worker.x11 import can_run
from qsh.wire.codec import encode

_log = logger("opener")

MAX_PENDING = 1024
"""Requests that may wait for names and far hosts at a time."""
RESOLVERS = 16
"""Threads that ask for names; who asks for slow ones waits for others who do."""
FULL = 0.01
"""Seconds to wait while the worker takes no more answers."""
AGENT_FOLDER = "/tmp"  # noqa: S108  (mkdtemp makes a folder of our own there, as sshd does)


Passed = socket.socket | FileIO
"""What goes to the worker."""


class Opener:
    """The requests of one worker."""

    def __init__(self, plan: OpenerPlan, sock: socket.socket) -> None:
        self._plan = plan
        self._socket = sock
        self._sockets = OwnSockets()
        self._made: dict[str, os.stat_result] = {}
        self._agent_folder = ""
        self._tunnels: set[str] = set()
        self._pending = 0

    async def run(self) -> None:
        """Until the worker has gone."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(RESOLVERS, "resolver"))
        self._socket.setblocking(False)
        try:
            while data := await loop.sock_recv(self._socket, MAX_MESSAGE):
                request = REQUESTS.decode(data)
                if self._pending >= MAX_PENDING:
                    await self._reply(Failed(request.ticket, errno.EAGAIN, "too many at once"))
                    continue
                self._pending += 1
                spawn(self._serve(request), "opener: request")
        except (OSError, DecodeError) as error:
            _log.debug1("opener: %s", error)
        finally:
            self._clean_up()

    async def _serve(self, request: Any) -> None:
        sockets: Sequence[Passed] = ()
        try:
            sockets, path = await self._open(request)
            await self._reply(Opened(request.ticket, path), sockets)
        except NotPermittedError as error:
            await self._reply(Forbidden(request.ticket, explain(error)))
        except (OSError, ValueError) as error:  # ValueError: a NUL, or a name that is too long
            known = error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))
            number = known.errno if known.errno and known.errno > 0 else 0
            await self._reply(Failed(request.ticket, number, explain(known)))
        finally:
            self._pending -= 1
            for sock in sockets:
                sock.close()

    async def _open(self, request: Any) -> tuple[Sequence[Passed], str]:
        """The sockets, and a path to tell. Raises OSError, NotPermittedError."""
        match request:
            case ConnectTcp(_, host, port):
                self._check(permissions.may_connect(self._plan.rules, host, port))
                return [await self._sockets.connect_tcp(host, port)], ""
            case ConnectUdp(_, host, port):
                self._check(permissions.may_connect(self._plan.rules, host, port))
                return [await self._sockets.connect_udp(host, port)], ""
            case ConnectUnix(_, path):
                self._check(permissions.may_connect_unix(self._plan.rules))
                return [await self._sockets.connect_unix(path)], ""
            case ListenTcp(_, host, port):
                where = self._listens_at(host, port)
                return await self._sockets.listen_tcp(where, port), ""
            case ListenUdp(_, host, port):
                where = self._listens_at(host, port)
                return await self._sockets.listen_udp(where, port), ""
            case ListenUnix(_, path):
                return [await self._listen_unix(path)], ""
            case ListenAgent():
                return await self._listen_agent()
            case ListenX11():
                return await self._listen_x11()
            case OpenTunnel(_, mode, unit):
                return self._open_tunnel(mode, unit)
            case ResizeTunnel(_, name, size):
                self._check(name in self._tunnels)
                set_size(name, size)
            case Unlink(_, path):
                self._unlink(path)
        return (), ""

    def _check(self, is_permitted: bool) -> None:
        if not is_permitted:
            raise NotPermittedError("administratively prohibited")

    def _listens_at(self, host: str, port: int) -> str:
        uid = self._plan.account.uid
        self._check(permissions.may_listen(self._plan.rules, host, port, uid))
        return permissions.server_listens_at(host, self._plan.gateway)

    async def _listen_unix(self, path: str) -> socket.socket:
        self._check(permissions.may_listen_unix(self._plan.rules))
        # What is not absolute begins at home, as in a session.
        path = os.path.join(self._plan.account.home, path)
        sock = await self._sockets.listen_unix(path, self._plan.mask, self._plan.unlink)
        self._made[path] = os.lstat(path)
        return sock

    async def _listen_agent(self) -> tuple[Sequence[socket.socket], str]:
        self._check(permissions.may_forward_agent(self._plan.rules))
        if self._agent_folder:
            raise OSError(errno.EEXIST, "there is one already")
        self._agent_folder = tempfile.mkdtemp(prefix="qsh-", dir=AGENT_FOLDER)
        path = f"{self._agent_folder}/agent.{os.getpid()}"
        return [await self._sockets.listen_unix(path, 0o177, unlink=False)], path

    async def _listen_x11(self) -> tuple[Sequence[socket.socket], str]:
        plan = self._plan
        self._check(permissions.may_forward_x11(plan.rules))
        if not can_run(plan.xauth):
            raise OSError(errno.ENOENT, f"no {plan.xauth} (XAuthLocation)")
        host = "" if plan.x11_everywhere else permissions.LOOPBACK
        sockets, display = await listen_display(host, plan.x11_offset)
        return sockets, str(display)

    def _open_tunnel(self, mode: int, unit: int) -> tuple[Sequence[Passed], str]:
        """With the user's rights: root's, or those of a device's owner."""
        permitted = permissions.permitted_unit(self._plan.rules, mode, unit)
        self._check(permitted is not None)
        assert permitted is not None
        descriptor, name = open_device(mode, permitted)
        self._tunnels.add(name)
        return [os.fdopen(descriptor, "rb", 0)], name

    def _unlink(self, path: str) -> None:
        """Only what was made here, and is still the same."""
        path = os.path.join(self._plan.account.home, path)
        made = self._made.pop(path, None)
        with contextlib.suppress(OSError):
            if made is not None and os.path.samestat(made, os.lstat(path)):
                os.unlink(path)  # noqa: PTH108

    def _clean_up(self) -> None:
        for path in tuple(self._made):
            self._unlink(path)
        if self._agent_folder:
            shutil.rmtree(self._agent_folder, ignore_errors=True)

    async def _reply(self, reply: Any, sockets: Sequence[Passed] = ()) -> None:
        descriptors = [sock.fileno() for sock in sockets[:MAX_PASSED]]
        while True:
            try:
                socket.send_fds(self._socket, [encode(reply)], descriptors)
                return
            except BlockingIOError:
                await asyncio.sleep(FULL)
            except OSError:
                return  # the worker has gone: `run` ends


def run_opener(plan: OpenerPlan, sock: socket.socket) -> NoReturn:
    """Be the opener. Called in a process that is the user's already."""
    status = 255
    try:
        with contextlib.suppress(OSError):
            os.chdir(plan.account.home)
        asyncio.run(Opener(plan, sock).run())
        status = 0
    finally:
        os._exit(status)
