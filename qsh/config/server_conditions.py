"""Match of sshd_config(5): does a block apply to this connection?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from qsh import __version__
from qsh.config.lines import ConfigLine
from qsh.config.patterns import (
    check_addresses,
    matches_address,
    matches_any,
    matches_host,
    matches_list,
)
from qsh.config.server_keywords import IN_MATCH
from qsh.config.server_values import read_server_port

ALONE = ("all", "invalid-user")
WITH_ARGUMENT = ("user", "group", "host", "address", "localaddress", "localport", "rdomain",
                 "version")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """Who asks to log in, and from where."""

    user: str
    address: str
    """Numeric, without port."""
    local_address: str
    local_port: int
    groups: tuple[str, ...] = ()
    """Names of the user's groups; empty for a user who does not exist."""
    host: str = ""
    """The client's name by UseDNS; empty if it is not known: then the address stands for it."""
    is_user_known: bool = True
    routing_domain: str = ""
    """Always empty: qshd binds to none."""


class ServerConditions:
    """The blocks for one connection; without one, no block applies."""

    starters: tuple[str, ...] = ("match",)
    refuses_all = True

    def __init__(self, connection: ConnectionFacts | None = None) -> None:
        self._connection = connection

    def applies(self, line: ConfigLine, values: dict[str, Any]) -> bool:
        """Whether all criteria hold; each is checked, also after one failed."""
        result = self._connection is not None
        for name, argument in _criteria(line):
            if result and self._connection is not None:
                result = _holds(name, argument, self._connection)
        return result

    def check(self, line: ConfigLine) -> None:
        """Raises ConfigError if the line is wrong."""
        list(_criteria(line))

    def permits(self, keyword: str) -> bool:
        """Whether a Match block may have this keyword."""
        return keyword in IN_MATCH

    def expand(self, text: str, values: dict[str, Any]) -> str:
        """Include takes no tokens in sshd_config."""
        return text


def _holds(name: str, argument: str, connection: ConnectionFacts) -> bool:
    match name:
        case "all":
            return True
        case "invalid-user":
            return not connection.is_user_known
        case "user":
            return matches_list(argument, connection.user)
        case "group":
            return _in_group(argument, connection.groups)
        case "host":
            return matches_host(argument, connection.host or connection.address)
        case "address":
            return matches_address(argument, connection.address)
        case "localaddress":
            return matches_address(argument, connection.local_address)
        case "rdomain":
            return matches_list(argument, connection.routing_domain)
        case "localport":
            return int(argument) == connection.local_port
        case _:
            return matches_list(argument, f"qsh_{__version__}")


def _in_group(argument: str, groups: tuple[str, ...]) -> bool:
    """One group matches, and none matches a pattern with `!` (groupaccess.c)."""
    patterns = argument.split(",")
    refused = [p[1:] for p in patterns if p.startswith("!")]
    return not any(matches_any(refused, group) for group in groups) and any(
        matches_any(patterns, group) for group in groups
    )


def _criteria(line: ConfigLine) -> Iterator[tuple[str, str]]:
    """(name, argument) of a Match line; `name=argument` may be one word."""
    words = list(line.arguments)
    if len(words) > 1 and "all" in (word.lower() for word in words):
        line.fail("Match all stands alone")
    while words:
        name, equals, argument = words.pop(0).partition("=")
        name = name.lower()
        if name in ALONE and not equals:
            yield name, ""
            continue
        if name not in WITH_ARGUMENT:
            line.fail(f"unknown Match criterion {name!r}")
        if not equals and not words:
            line.fail(f"Match {name} needs an argument")
        argument = argument if equals else words.pop(0)
        _check_argument(line, name, argument)
        yield name, argument


def _check_argument(line: ConfigLine, name: str, argument: str) -> None:
    try:
        if name in ("address", "localaddress"):
            check_addresses(argument)
        elif name == "localport":
            read_server_port((argument,))
    except ValueError as error:
        line.fail(f"Match {name}: {error}")
