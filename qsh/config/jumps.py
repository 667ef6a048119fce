"""ProxyJump: the hosts on the way, `[user@]host[:port]` or a URI, with commas between them."""

from qsh.config.specs import Destination, parse_destination, parse_jump_host
from qsh.config.values import Kind
from qsh.errors import UsageError


def parse_jumps(text: str) -> tuple[Destination, ...]:
    """The hosts in the order of the way. Raises ValueError."""
    try:
        return tuple(_parse_one(part) for part in text.split(","))
    except UsageError as error:
        raise ValueError(str(error)) from None


def _parse_one(text: str) -> Destination:
    return parse_destination(text) if "://" in text else parse_jump_host(text)


def read_jumps(words: tuple[str, ...]) -> tuple[Destination, ...]:
    """The argument of ProxyJump; `none` for no jump."""
    if len(words) != 1 or not words[0]:
        raise ValueError("one list of hosts is wanted")
    return () if words[0].lower() == "none" else parse_jumps(words[0])


def jumps_text(jumps: tuple[Destination, ...]) -> str:
    """As it can be read again."""
    return ",".join(_text(jump) for jump in jumps)


def _text(jump: Destination) -> str:
    user = f"{jump.user}@" if jump.user is not None else ""
    host = f"[{jump.host}]" if ":" in jump.host else jump.host
    port = f":{jump.port}" if jump.port is not None else ""
    return f"{user}{host}{port}"


PROXY_JUMP = Kind(read_jumps)
