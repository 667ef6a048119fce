"""Patterns of ssh_config(5) PATTERNS: `*` and `?`, lists with commas and `!`, addresses in CIDR.

Pure text; no name is ever looked up.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

_WILD = frozenset("*?")


def matches_wildcard(pattern: str, text: str) -> bool:
    """Whether the whole text matches; `*` and `?` are the only signs (match.c)."""
    if _WILD.isdisjoint(pattern):
        return pattern == text
    return _matches(pattern, text)


def _matches(pattern: str, text: str) -> bool:
    """Greedy with one point to come back to: linear in practice, never exponential."""
    at = index = mark = 0
    star = -1
    while index < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, mark, at = at, index, at + 1
        elif at < len(pattern) and pattern[at] in ("?", text[index]):
            at, index = at + 1, index + 1
        elif star >= 0:
            mark += 1
            at, index = star + 1, mark
        else:
            return False
    return pattern[at:].strip("*") == ""


def matches_any(patterns: Iterable[str], text: str) -> bool:
    """Whether one pattern matches and none with a leading `!` does."""
    found = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if matches_wildcard(pattern[1:], text):
                return False
        elif not found:
            found = matches_wildcard(pattern, text)
    return found


def matches_list(patterns: str, text: str) -> bool:
    """As `matches_any`, for a list with commas."""
    return matches_any(patterns.split(","), text)


def named_in(lists: Iterable[str]) -> Callable[[str], bool]:
    """Whether one of several lists with commas matches a text."""
    return lambda text: any(matches_list(patterns, text) for patterns in lists)


def matches_host(patterns: str, host: str) -> bool:
    """As `matches_list`, whatever the case of both."""
    return matches_list(patterns.lower(), host.lower())


def check_addresses(patterns: str) -> None:
    """Raises ValueError if an entry with `/` is not a network."""
    for pattern in patterns.split(","):
        _network(pattern.removeprefix("!"))


def matches_address(patterns: str, address: str) -> bool:
    """Whether a list of networks (`10.0.0.0/8`), addresses and wildcards covers the address.

    Raises ValueError for an entry with `/` that is not a network.
    """
    from ipaddress import ip_address

    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    found = False
    for pattern in patterns.split(","):
        network = _network(pattern.removeprefix("!"))
        if network is not None:
            hit = parsed.version == network.version and parsed in network
        else:
            hit = matches_wildcard(pattern.removeprefix("!").lower(), str(parsed))
        if hit and pattern.startswith("!"):
            return False
        found = found or hit
    return found


@lru_cache(maxsize=1024)
def _network(pattern: str) -> "IPv4Network | IPv6Network | None":
    """The network of an address or CIDR entry; None for a wildcard pattern."""
    from ipaddress import ip_network

    try:
        return ip_network(pattern)
    except ValueError:
        if "/" not in pattern:
            return None
    try:
        ip_network(pattern, strict=False)
    except ValueError:
        raise ValueError(f"{pattern!r} is not a network") from None
    raise ValueError(f"{pattern!r} has bits set beyond its length")
