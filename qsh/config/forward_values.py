"""Kinds of values that only forwards have, for both kinds of file."""

from collections.abc import Callable
from typing import Any

from qsh.config.values import Kind, Words, choice, read_text

Permits = tuple[tuple[str, int], ...]
"""(host, port) of what is permitted; host `*` and port 0 stand for any."""


def _forward(parser: str, counts: tuple[int, ...]) -> Kind:
    """One line of LocalForward and its like: the listener and the target, as one word or two."""

    def read(words: Words) -> tuple[Any]:
        from qsh.config import forward_specs  # few files have forwards

        if len(words) not in counts or not all(words):
            raise ValueError("a listener and a target are wanted")
        parse: Callable[[str], Any] = getattr(forward_specs, parser)
        return (parse(":".join(words)),)

    return Kind(read, adds=True)


def read_agent(words: Words) -> str | None:
    """`yes` stands for the agent in use (SSH_AUTH_SOCK), None for no forwarding; else a socket's
    path or `$NAME`."""
    word = read_text(words)
    if word.lower() in ("no", "false"):
        return None
    return "yes" if word.lower() in ("yes", "true") else word


def read_mask(words: Words) -> int:
    """An octal number of permission bits to take away."""
    word = read_text(words)
    if not (word.isascii() and word.isdecimal() and len(word) < 6) or set(word) & set("89"):
        raise ValueError(f"{word!r} is not an octal number")
    if (mask := int(word, 8)) > 0o777:
        raise ValueError(f"{word!r} is out of range (0 to 0777)")
    return mask


def permits(*, bare_port: bool = False) -> Kind:
    """PermitOpen and its like: None for `any`, nothing at all for `none`."""

    def read(words: Words) -> Permits | None:
        from qsh.config.forward_specs import parse_permit

        if len(words) == 1 and words[0].lower() in ("any", "none"):
            return None if words[0].lower() == "any" else ()
        return tuple(parse_permit(word, bare_port=bare_port) for word in words)

    return Kind(read)


def read_devices(words: Words) -> tuple[int | None, int | None]:
    """TunnelDevice: `local[:remote]`, numbers or `any` (None)."""
    local, colon, remote = read_text(words).partition(":")
    return _device(local), _device(remote) if colon else None


def _device(text: str) -> int | None:
    if text.lower() == "any":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 8):
        raise ValueError(f"{text!r} is no tunnel device (write local[:remote], numbers or any)")
    return int(text)


LOCAL_FORWARD = _forward("parse_local", (1, 2))
REMOTE_FORWARD = _forward("parse_remote", (1, 2))
DYNAMIC_FORWARD = _forward("parse_dynamic", (1,))
AGENT = Kind(read_agent)
MASK = Kind(read_mask)
PERMIT_OPEN = permits()
PERMIT_LISTEN = permits(bare_port=True)
TUNNEL = choice("yes", "no", "point-to-point", "ethernet", true="yes", false="no")
DEVICES = Kind(read_devices)
DIRECTIONS = choice("yes", "no", "local", "remote", all="yes", true="yes", false="no")
GATEWAY_PORTS = choice("no", "yes", "clientspecified", true="yes", false="no")
