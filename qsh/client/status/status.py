"""What a client tells of its connection, for `~s` and `qsh --status`: facts, and their text. Pure.

A fact is a number, a text or a truth under a name that never changes its meaning: the object of
`--json`. Times are in seconds, sizes in bytes, counts since the connection began.
"""

from collections.abc import Mapping

from qsh.log import printable
from qsh.net.connection import Connection

Fact = str | int | float | bool
Facts = dict[str, Fact]


def facts_of(connection: Connection, resumptions: int) -> Facts:
    """Of one connection, now; `resumptions` is how often another was made in its place."""
    stats, paths, now_silent = connection.stats, connection.paths, connection.vigil.silence
    remote = paths.remote or ("", 0)
    sent = stats.packets_sent
    return {
        "connected": not connection.is_over,
        "engine": connection.engine_name,
        "key_exchange": connection.key_exchange,
        "local_address": paths.local[0], "local_port": paths.local[1],
        "remote_address": remote[0], "remote_port": remote[1],
        "datagram_size": stats.datagram_size,
        "round_trip": round(stats.smoothed_rtt, 6), "latest_round_trip": round(stats.latest_rtt, 6),
        "packets_sent": sent, "packets_received": stats.packets_received,
        "packets_lost": stats.packets_lost,
        "loss": round(stats.packets_lost / sent, 6) if sent else 0.0,
        "bytes_sent": stats.bytes_sent, "bytes_received": stats.bytes_received,
        "since_heard": round(connection.vigil.since_heard, 3), "silence": round(now_silent, 3),
        "migrations": connection.migrations, "resumptions": resumptions,
    }  # fmt: skip


def lines_of(facts: Mapping[str, Fact]) -> list[str]:
    """The same for people. What is missing or of another kind is shown as a question mark: the
    facts may be another program's."""

    def number(name: str) -> float:
        value = facts.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    def text(name: str) -> str:
        return printable(str(facts.get(name, "?")))

    is_connected = facts.get("connected") is True
    state = "connected" if is_connected else "connection lost, seeking another"
    return [
        f"{state}, last heard {number('since_heard'):.1f} s ago",
        f"path        {_address(text('local_address'), text('local_port'))} to "
        f"{_address(text('remote_address'), text('remote_port'))}, {text('engine')}, "
        f"datagrams of {text('datagram_size')} bytes",
        f"round trip  {number('round_trip') * 1e3:.1f} ms, "
        f"the latest {number('latest_round_trip') * 1e3:.1f} ms",
        f"packets     {text('packets_sent')} sent, {text('packets_received')} received, "
        f"{text('packets_lost')} lost ({number('loss') * 100:.1f} %)",
        f"bytes       {_size(number('bytes_sent'))} sent, "
        f"{_size(number('bytes_received'))} received",
        f"since then  {text('migrations')} migrations, {text('resumptions')} resumptions",
    ]


def _address(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return ""
