"""-W: standard input and output as one end of a forward."""

import asyncio

from qsh.errors import QshError
from qsh.net.channel import Channel
from qsh.net.splice import copy_from, copy_to
from qsh.net.tasks import cancel, spawn

STDIN, STDOUT = 0, 1


async def run(channel: Channel, source: int = STDIN, sink: int = STDOUT) -> None:
    """Copy both ways over a channel that we opened, until the far end has closed it or both have
    ended. Raises ChannelOpenError, NetworkError, QshError."""
    sending = spawn(copy_from(source, channel), "stdin")
    over = spawn(channel.wait_closed(), "end of stdio forward")
    try:
        await channel.opened()
        try:
            await copy_to(channel, sink)
        except OSError as error:
            raise QshError(f"cannot write to standard output: {error.strerror}") from None
        await asyncio.wait((sending, over), return_when=asyncio.FIRST_COMPLETED)
        channel.close()
        await over  # all that was sent has arrived
    finally:
        await cancel(sending, over)
        channel.close()
