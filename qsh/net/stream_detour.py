"""A live connection's way around UDP that does not get through: a stream, until UDP works again.

Told once a second how things are. The connection goes on by the stream as by any other path; the
server finds it by its connection ID. Back it goes when a probe beside the connection was answered
by UDP, so that looking costs the user nothing. UDP that fails again soon after is trusted less.
"""

import asyncio
from collections.abc import Callable, Sequence

from qsh.log import logger
from qsh.net.connection import Connection
from qsh.net.dial import OpenLink, OpenStream
from qsh.net.endpoint import Endpoint
from qsh.net.tasks import spawn
from qsh.net.udp import DatagramLink
from qsh.net.udp_probe import is_answered

_log = logger("migration")

LEAVE_AFTER = 3.0
"""Seconds of silence after which a stream is sought."""
DIAL_SECONDS = 10.0
DIAL_EVERY = 15.0
FIRST_LOOK, LAST_LOOK = 5.0, 60.0
"""Seconds between looks whether UDP works again, at first and at last."""
LOOK_GROWTH = 1.5
UNSTEADY = 120.0
"""UDP that lasted fewer seconds than this is trusted half as soon the next time,"""
LONGEST_LOOK = 600.0
"""but after so many in any case."""
STREAM_PATIENCE = 60.0
"""Seconds for which a connection without any way is kept for the next one."""


class StreamDetour:
    """For one connection. `use` sends by a link to an endpoint from now on."""

    def __init__(self, connection: Connection, open_stream: OpenStream, open_link: OpenLink,
                 use: Callable[[Endpoint, DatagramLink], None]) -> None:
        self._connection = connection
        self._open_stream = open_stream
        self._open_link = open_link
        self._use = use
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._next_dial = 0.0
        self._pause = FIRST_LOOK
        self._next_look = self._loop.time() + FIRST_LOOK
        self._back_at: float | None = None
        self._answer = 0.0
        self._answered_at = self._loop.time()
        connection.paths.patience = STREAM_PATIENCE

    @property
    def _silence(self) -> float:
        """Seconds for which nothing was acknowledged though something should be: also where the
        server is heard, and does not hear us."""
        return max(self._connection.vigil.silence, self._loop.time() - self._answered_at)

    def _listen(self) -> None:
        stats = self._connection.stats
        if not stats.bytes_in_flight or stats.latest_rtt != self._answer:
            self._answered_at = self._loop.time()
        self._answer = stats.latest_rtt

    def look(self, endpoints: Sequence[Endpoint], bind_address: str | None) -> None:
        """Do what is due. `endpoints` are the server's, that in use first."""
        self._listen()
        if self._task is not None and not self._task.done():
            return
        now, paths, silence = self._loop.time(), self._connection.paths, self._silence
        has_ended = paths.has_ended
        if has_ended or (paths.is_stream and silence >= LEAVE_AFTER):
            self._try_udp(endpoints[0], bind_address)
        # The server does not wait long for who may as well have been killed.
        if has_ended or (silence >= LEAVE_AFTER and now >= self._next_dial):
            self._next_dial = now + (LEAVE_AFTER if has_ended else DIAL_EVERY)
            self._task = spawn(self._dial(endpoints), "dial by a stream")
        elif paths.is_stream and now >= self._next_look:
            self._task = spawn(self._probe(endpoints[0], bind_address), "look for UDP")

    def stop(self) -> None:
        """Look no longer."""
        if self._task is not None:
            self._task.cancel()

    def _try_udp(self, endpoint: Endpoint, bind_address: str | None) -> None:
        """The stream is over, or silent too: there is nothing to lose."""
        try:
            self._use(endpoint, self._open_link(endpoint, bind_address))
        except OSError as error:
            _log.debug1("cannot send by UDP: %s", error.strerror)

    async def _dial(self, endpoints: Sequence[Endpoint]) -> None:
        for endpoint in endpoints:
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    link = await self._open_stream(endpoint)
            except OSError as error:  # TimeoutError is one
                _log.debug1("no stream to %s: %s", endpoint, error or "no answer")
                continue
            connection = self._connection
            self._listen()
            if connection.is_over or not self._silence:
                link.close()
                return
            _log.info("UDP does not get through: going on by a stream")
            self._left_udp()
            self._use(endpoint, link)
            return

    def _left_udp(self) -> None:
        now = self._loop.time()
        is_unsteady = self._back_at is not None and now - self._back_at < UNSTEADY
        self._pause = min(2 * self._pause, LONGEST_LOOK) if is_unsteady else FIRST_LOOK
        self._next_look = now + self._pause

    async def _probe(self, endpoint: Endpoint, bind_address: str | None) -> None:
        try:
            link = self._open_link(endpoint, bind_address)
        except OSError as error:
            _log.debug1("cannot send by UDP: %s", error.strerror)
            self._next_look = self._loop.time() + self._pause
            return
        is_used = False
        try:
            if await is_answered(link) and not self._connection.is_over:
                _log.info("UDP works again: leaving the stream")
                self._back_at = self._loop.time()
                is_used = True
                self._use(endpoint, link)
                return
        finally:
            if not is_used:
                link.close()
        self._pause = max(self._pause, min(self._pause * LOOK_GROWTH, LAST_LOOK))
        self._next_look = self._loop.time() + self._pause
