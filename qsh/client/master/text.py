"""What a master tells of its connection: -O conninfo, -O channels."""

from qsh.config.client_settings import ClientSettings
from qsh.net.connection import Connection


def describe_connection(connection: Connection, settings: ClientSettings, sessions: int) -> str:
    """Lines about the connection."""
    stats, remote = connection.stats, connection.paths.remote
    lines = [
        f"host {settings.original_host} (user {settings.user})",
        "local {} port {}".format(*connection.paths.local),
        "remote {} port {}".format(*(remote or ("unknown", 0))),
        f"protocol qsh/1 by {connection.engine_name}, key exchange {connection.key_exchange}",
        f"round trip {stats.smoothed_rtt * 1000:.1f} ms",
        f"packets sent {stats.packets_sent} received {stats.packets_received} "
        f"lost {stats.packets_lost}",
        f"bytes sent {stats.bytes_sent} received {stats.bytes_received}",
        f"moves {connection.migrations}",
        f"shared sessions {sessions}",
    ]
    return "".join(f"{line}\n" for line in lines)


def describe_channels(connection: Connection) -> str:
    """A line for each channel."""
    return "".join(
        f"#{stream_id // 4} {channel.kind} (sending: {channel.sending.name.lower()}, "
        f"receiving: {channel.receiving.name.lower()})\n"
        for stream_id, channel in sorted(connection.wire.channels.items())
    )
