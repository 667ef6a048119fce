"""--detach: a session is started, and left at once, to go on by itself."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from qsh.client.notices import show
from qsh.client.plan import SessionPlan
from qsh.client.session.lasting_channel import LastingChannel
from qsh.errors import RequestError
from qsh.net.connection import Connection
from qsh.record import replace
from qsh.wire.channel_messages import SessionOpen
from qsh.wire.start_messages import PtyRequest

if TYPE_CHECKING:
    from qsh.client.session.session import Lasting

COLUMNS, ROWS = 80, 24
"""Of the session's terminal until somebody attaches, where this side has none."""


def start_and_leave(connection: Connection, plan: SessionPlan, lasting: "Lasting",
                    host: str) -> Callable[[], Awaitable[int]]:
    """Ask now, with the login; what is to be done once that stands. Its input stays open."""
    pty = _terminal(plan)
    channel = LastingChannel(connection.open_channel(SessionOpen()), lasting.place,
                             lasting.reconnect, lambda: pty)  # fmt: skip
    if pty is not None:
        channel.send_request(pty)
    for variable in plan.environment:
        channel.send_request(variable)
    channel.keep(lasting.label)
    started = channel.ask(plan.start)
    channel.begin()

    async def leave() -> int:
        try:
            await channel.opened()
            if not await started:
                raise RequestError(f"{host} refuses to start the session {lasting.label}: "
                                   "is the name taken? see --list")  # fmt: skip
            await channel.until_kept()
            if channel.detach():
                show(f"started; qsh --attach={channel.label} {host} goes on with it")
            else:
                show("started, and over already")
            return 0
        finally:
            channel.close()

    return leave


def _terminal(plan: SessionPlan) -> PtyRequest | None:
    pty = plan.pty
    return pty and replace(pty, columns=pty.columns or COLUMNS, rows=pty.rows or ROWS)
