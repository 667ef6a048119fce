"""The options before a key in authorized_keys, and before a name in a principals file.

sshd(8) AUTHORIZED_KEYS FILE FORMAT, read as OpenSSH's sshauthopt_parse does: names without regard
to case, values in double quotes in which only `\\"` is special. Anything that is not understood
makes the whole line void.
"""

import re
from collections.abc import Callable

from qsh.record import record, replace

MAX_ENVIRONMENT = 1024
MAX_PERMITS = 4096


class OptionError(ValueError):
    """The options are not valid; the text says why. The line must not match."""


@record
class KeyOptions:
    """What stands before a key. Times in seconds since 1970.

    `permitopen` and `permitlisten` are (host, port) with port 0 for `*`, None if not given;
    `tunnel` is a device number, or -1 for `any`, None if not given.
    """

    cert_authority: bool = False
    pty: bool = True
    agent_forwarding: bool = True
    port_forwarding: bool = True
    x11_forwarding: bool = True
    user_rc: bool = True
    no_touch_required: bool = False
    verify_required: bool = False
    command: bytes | None = None
    principals: str | None = None
    source: str | None = None
    expires: float | None = None
    environment: tuple[tuple[str, str], ...] = ()
    permitopen: tuple[tuple[str, int], ...] | None = None
    permitlisten: tuple[tuple[str, int], ...] | None = None
    tunnel: int | None = None


_RESTRICTED = dict.fromkeys(
    ("pty", "agent_forwarding", "port_forwarding", "x11_forwarding", "user_rc"), False
)
_FLAGS: dict[bytes, dict[str, bool]] = {
    b"restrict": _RESTRICTED,
    b"cert-authority": {"cert_authority": True},
    b"touch-required": {"no_touch_required": False},
    b"no-touch-required": {"no_touch_required": True},
    b"verify-required": {"verify_required": True},
    b"no-verify-required": {"verify_required": False},
}
for _name in _RESTRICTED:
    _FLAGS[_name.replace("_", "-").encode()] = {_name: True}
    _FLAGS[b"no-" + _name.replace("_", "-").encode()] = {_name: False}


def parse_options(text: bytes) -> KeyOptions:
    """The options in `text`, which is nothing but them. Raises OptionError."""
    options = KeyOptions()
    at = 0
    while at < len(text):
        if text[at : at + 1] == b",":  # OpenSSH takes empty options, too
            at += 1
            continue
        name, value, at = _next_option(text, at)
        if value is None:
            flags = _FLAGS.get(name)
            if flags is None:
                raise OptionError(f"unknown key option {_shown(name)}")
            options = replace(options, **flags)
        else:
            setter = _VALUES.get(name)
            if setter is None:
                raise OptionError(f"unknown key option {_shown(name)}")
            options = setter(options, value)
        if at < len(text) and text[at : at + 1] != b",":
            raise OptionError("unknown key option")
    return options


def options_end(line: bytes) -> int:
    """Where the options at the front of a line end: the first blank outside quotes.
    Raises OptionError for a quote that is never closed."""
    quoted = False
    at = 0
    while at < len(line) and (quoted or line[at] not in b" \t"):
        if line[at : at + 2] == b'\\"':
            at += 1
        elif line[at] == 0x22:
            quoted = not quoted
        at += 1
    if quoted:
        raise OptionError("missing end quote")
    return at


def parse_time(text: str) -> float:
    """YYYYMMDD[HHMM[SS]], in local time or with `Z` (or `UTC`) in UTC, as seconds since 1970.

    Local time is this process's (TZ). Raises OptionError.
    """
    import calendar
    import time

    upper = text.upper()
    suffix = next((s for s in ("Z", "UTC") if upper.endswith(s)), "")
    digits = text[: len(text) - len(suffix)]
    if len(digits) not in (8, 12, 14) or not (digits.isascii() and digits.isdigit()):
        raise OptionError(f"invalid time {text[:40]!r}")
    padded = digits.ljust(14, "0")
    fields = [int(padded[:4]), *(int(padded[i : i + 2]) for i in range(4, 14, 2))]
    year, month, day, hour, minute, second = fields
    in_range = 1 <= month <= 12 and hour < 24 and minute < 60 and second < 60 and year >= 1970
    if not in_range or not 1 <= day <= calendar.monthrange(year, month)[1]:
        raise OptionError(f"invalid time {text[:40]!r}")
    moment = (year, month, day, hour, minute, second, 0, 0, -1)
    try:
        return float(calendar.timegm(moment)) if suffix else time.mktime(moment)
    except (OverflowError, ValueError):
        raise OptionError(f"invalid time {text[:40]!r}") from None


def _next_option(text: bytes, at: int) -> tuple[bytes, bytes | None, int]:
    """Name in lower case, value or None, and where it ends."""
    found = _NAME.match(text, at)
    if found is None:
        raise OptionError("unknown key option")
    name = found[1].lower()
    if not found[2]:
        return name, None, found.end()
    quoted = _QUOTED.match(text, found.end())
    if quoted is None:
        wrong = "end" if text[found.end() : found.end() + 1] == b'"' else "start"
        raise OptionError(f"missing {wrong} quote in {_shown(name)}")
    value = quoted[1].replace(b'\\"', b'"')
    if b"\0" in value:
        raise OptionError(f"zero byte in {_shown(name)}")
    return name, value, quoted.end()


_NAME = re.compile(rb"([A-Za-z0-9-]+)(=?)")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\"|\\(?!"))*+)"', re.DOTALL)


def _shown(name: bytes) -> str:
    return repr(name[:40].decode("ascii", "replace"))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _once(field: str) -> Callable[[KeyOptions, bytes], KeyOptions]:
    def set_value(options: KeyOptions, value: bytes) -> KeyOptions:
        if getattr(options, field) is not None:
            raise OptionError(f"multiple {field!r} options")
        new = value if field == "command" else _text(value)
        return replace(options, **{field: new})

    return set_value


def _set_expiry(options: KeyOptions, value: bytes) -> KeyOptions:
    moment = parse_time(_text(value))
    earlier = moment if options.expires is None else min(moment, options.expires)
    return replace(options, expires=earlier)


def _add_environment(options: KeyOptions, value: bytes) -> KeyOptions:
    name, equals, content = _text(value).partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z0-9_]+", name, re.ASCII):
        raise OptionError("invalid environment string")
    if any(name == known for known, _ in options.environment):
        return options  # the first one counts
    if len(options.environment) >= MAX_ENVIRONMENT:
        raise OptionError("too many environment options")
    return replace(options, environment=(*options.environment, (name, content)))


def _add_permitopen(options: KeyOptions, value: bytes) -> KeyOptions:
    known = options.permitopen or ()
    return replace(options, permitopen=(*known, _permit(_text(value), len(known))))


def _add_permitlisten(options: KeyOptions, value: bytes) -> KeyOptions:
    known = options.permitlisten or ()
    text = _text(value)
    if ":" not in text:
        text = f"*:{text}"
    return replace(options, permitlisten=(*known, _permit(text, len(known))))


def _permit(text: str, count: int) -> tuple[str, int]:
    """`host:port`, `[host]:port` or `host/port`; the port `*` is 0."""
    if count >= MAX_PERMITS:
        raise OptionError("too many permissions")
    found = re.fullmatch(r"(?:\[([^\]]*)\]|([^\[\]:/]*))[:/](.*)", text, re.DOTALL)
    host = "" if found is None else found[1] or found[2] or ""
    if found is None or not host or len(host) >= 1025:
        raise OptionError("invalid permission hostname")
    return host, 0 if found[3] == "*" else _port(found[3])


def _port(text: str) -> int:
    if text.isascii() and text.isdigit():
        number = int(text) if len(text) < 6 else 0
    else:
        import socket

        try:
            number = socket.getservbyname(text, "tcp")
        except (OSError, ValueError):
            number = 0
    if not 0 < number < 65536:
        raise OptionError("invalid permission port")
    return number


def _set_tunnel(options: KeyOptions, value: bytes) -> KeyOptions:
    text = _text(value)
    if text == "any":
        return replace(options, tunnel=-1)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise OptionError("invalid tun device")
    return replace(options, tunnel=int(text))


_VALUES: dict[bytes, Callable[[KeyOptions, bytes], KeyOptions]] = {
    b"command": _once("command"),
    b"principals": _once("principals"),
    b"from": _once("source"),
    b"expiry-time": _set_expiry,
    b"environment": _add_environment,
    b"permitopen": _add_permitopen,
    b"permitlisten": _add_permitlisten,
    b"tunnel": _set_tunnel,
}
