"""What the settings for a user say about idle channels and connections (qsh.net.watch)."""

from qsh.net.connection import Connection
from qsh.net.watch import Watch
from qsh.server.monitor.messages import LoginVerdict


def watch_for(connection: Connection, verdict: LoginVerdict) -> Watch:
    """By the settings for the user who logged in."""
    timeouts = tuple(
        (kind, float(time)) for kind, _, time in
        (entry.rpartition("=") for entry in verdict.channel_timeouts)
    )  # fmt: skip
    return Watch(
        connection, timeouts, verdict.unused_timeout, verdict.alive_interval, verdict.alive_count
    )
