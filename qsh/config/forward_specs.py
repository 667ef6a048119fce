"""What a user writes to name a forward: the arguments of -L, -R, -D and -W, and of PermitOpen.

    [udp/] [bind_address:]port:host:hostport    and Unix sockets on either side

The grammar is ssh(1)'s (misc.c, `parse_forward`): fields end at a colon, `[…]` protects the colons
of an address, a backslash those of a path, and a field with a slash is a path. `udp/` before it is
ours, as is `udp,drop/`: datagrams that do not fit the path are then dropped, not sent by a stream.
Texts to values, without a look at any name server or file.
"""

from qsh.config.specs import parse_port
from qsh.record import record

UDP_PREFIX = "udp/"
UDP_DROP_PREFIX = "udp,drop/"
MAX_PATH = 107
"""Bytes of a Unix socket's name (unix(7))."""
MAX_HOST = 1024
MAX_FIELDS = 4


@record
class Place:
    """Where a forward listens or goes to: `path` of a Unix socket, or `host` and `port`. A
    listener's host is None where none was given, and empty or `*` for all interfaces."""

    host: str | None = None
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        host = self.host if self.host is not None else "localhost"
        return f"{f'[{host}]' if ':' in host else host}:{self.port}"


@record
class ForwardSpec:
    """One forward. Without a target the listener speaks SOCKS."""

    listen: Place
    target: Place | None = None
    is_udp: bool = False
    drops_large: bool = False
    """Of UDP: what does not fit the path is lost rather than late."""

    @property
    def prefix(self) -> str:
        """What stands before it."""
        if not self.is_udp:
            return ""
        return UDP_DROP_PREFIX if self.drops_large else UDP_PREFIX

    def __str__(self) -> str:
        return f"{self.prefix}{self.listen} -> {self.target or 'SOCKS'}"


def parse_local(text: str) -> ForwardSpec:
    """The argument of -L. Raises ValueError."""
    spec = _parse_target(text)
    if not spec.listen.path and not spec.listen.port:
        raise ValueError(f"bad forward {text!r}: which port to listen on?")
    return spec


def parse_remote(text: str) -> ForwardSpec:
    """The argument of -R: as for -L, but port 0 leaves the choice to the server; a listener alone
    is a SOCKS proxy. Raises ValueError."""
    is_udp, _, rest = _protocol(text)
    fields = _fields(rest, text)
    if len(fields) == 1 or (len(fields) == 2 and not any(is_path for _, is_path in fields)):
        if is_udp:
            raise ValueError(f"bad forward {text!r}: udp/ needs a target")
        return ForwardSpec(_listener(fields, text))
    return _parse_target(text)


def parse_dynamic(text: str) -> ForwardSpec:
    """The argument of -D: `[bind_address:]port`, or a path. Raises ValueError."""
    fields = _fields(text, text)
    if len(fields) > 2:
        raise ValueError(f"bad forward {text!r} (write [bind_address:]port)")
    listen = _listener(fields, text)
    if not listen.path and not listen.port:
        raise ValueError(f"bad forward {text!r}: which port to listen on?")
    return ForwardSpec(listen)


def parse_listener(text: str) -> ForwardSpec:
    """What ends a forward: `[udp/][bind_address:]port`, or a path. Raises ValueError."""
    is_udp, drops_large, rest = _protocol(text)
    fields = _fields(rest, text)
    if len(fields) > 2:
        raise ValueError(f"bad forward {text!r} (write [bind_address:]port)")
    return ForwardSpec(_listener(fields, text), None, is_udp, drops_large)


def parse_stdio(text: str) -> Place:
    """The argument of -W: `host:port`, or a path. Raises ValueError."""
    fields = _fields(text, text)
    if len(fields) == 1 and fields[0][1]:
        return _path(fields[0][0], text)
    if len(fields) != 2 or fields[0][1]:
        raise ValueError(f"bad target {text!r} (write host:port)")
    return _target(fields, text)


def parse_permit(text: str, *, bare_port: bool = False) -> tuple[str, int]:
    """One word of PermitOpen, PermitListen or PermitRemoteOpen: `host:port`, `[address]:port`,
    either of them `*`; with `bare_port` also `port` alone, for any host. Port 0 stands for `*`.
    Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon:
        if not bare_port:
            raise ValueError(f"{text!r} is not host:port")
        host = "*"
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: write an IPv6 address in brackets")
    if not host or len(host) > MAX_HOST:
        raise ValueError(f"{text!r} names no host")
    return host, 0 if port == "*" else service_port(port)


def service_port(text: str) -> int:
    """A port in digits, or a service's name. Raises ValueError."""
    if not text or text.isdecimal() or not text.isascii():
        return parse_port(text)
    import socket  # only names need it

    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, ValueError):
        raise ValueError(f"bad port {text!r}") from None


def _protocol(text: str) -> tuple[bool, bool, str]:
    """Whether it is UDP, whether what is too large is dropped, and the rest."""
    for prefix in (UDP_PREFIX, UDP_DROP_PREFIX):
        if text.startswith(prefix):
            return True, prefix == UDP_DROP_PREFIX, text.removeprefix(prefix)
    return False, False, text


def _parse_target(text: str) -> ForwardSpec:
    is_udp, drops_large, rest = _protocol(text)
    fields = _fields(rest, text)
    count = 1 if fields[-1][1] else 2
    if len(fields) <= count or (is_udp and any(is_path for _, is_path in fields)):
        what = "[bind_address:]port:host:hostport"
        raise ValueError(f"bad forward {text!r} (write {UDP_PREFIX if is_udp else ''}{what})")
    listen = _listener(fields[:-count], text)
    target = fields[-count:]
    if count == 1:
        return ForwardSpec(listen, _path(target[0][0], text))
    return ForwardSpec(listen, _target(target, text), is_udp, drops_large)


def _target(fields: list[tuple[str, bool]], text: str) -> Place:
    (host, is_path), (port, _) = fields
    if is_path or not host or len(host) > MAX_HOST:
        raise ValueError(f"bad forward {text!r}: no host to connect to")
    return Place(host, service_port(port))


def _listener(fields: list[tuple[str, bool]], text: str) -> Place:
    if len(fields) == 1 and fields[0][1]:
        return _path(fields[0][0], text)
    if len(fields) > 2 or any(is_path for _, is_path in fields):
        raise ValueError(f"bad forward {text!r}: a path and a port together")
    port = fields[-1][0]
    host = fields[0][0] if len(fields) == 2 else None
    return Place(host, 0 if port == "0" else service_port(port))


def _path(path: str, text: str) -> Place:
    if len(path.encode(errors="surrogateescape")) > MAX_PATH:
        raise ValueError(f"bad forward {text!r}: a socket's path has at most {MAX_PATH} bytes")
    return Place(path=path)


def _fields(text: str, whole: str) -> list[tuple[str, bool]]:
    """Up to four fields, each with whether it is a path."""
    fields: list[tuple[str, bool]] = []
    rest: str | None = text.lstrip()
    while rest is not None:
        if len(fields) == MAX_FIELDS:
            raise ValueError(f"bad forward {whole!r}: too many colons")
        field, is_path, rest = _field(rest, whole)
        fields.append((field, is_path))
    return fields


def _field(text: str, whole: str) -> tuple[str, bool, str | None]:
    """The first field, whether it is a path, and what follows its colon."""
    if text.startswith("["):
        field, bracket, rest = text[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise ValueError(f"bad forward {whole!r}: a [ without its ]")
        return field, False, rest[1:] if rest else None
    field, position = "", 0
    while position < len(text) and text[position] != ":":
        position += text[position] == "\\"
        if position == len(text):
            raise ValueError(f"bad forward {whole!r}: it ends in a backslash")
        field += text[position]
        position += 1
    return field, "/" in field, text[position + 1 :] if position < len(text) else None
