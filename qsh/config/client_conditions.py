"""Host and Match of ssh_config(5): does a block apply to this connection?"""

from collections.abc import Iterator
from typing import Any

from qsh import __version__
from qsh.config.facts import LocalFacts, connection_tokens
from qsh.config.jumps import jumps_text
from qsh.config.lines import ConfigLine
from qsh.config.patterns import matches_any, matches_host, matches_list
from qsh.config.tokens import CONNECTION_TOKENS, HOST_TOKENS, Token, expand_tokens

ALONE = ("all", "canonical", "final")
"""Criteria without an argument."""
WITH_ARGUMENT = ("host", "originalhost", "user", "localuser", "tagged", "exec", "localnetwork",
                 "version", "command", "sessiontype")  # fmt: skip


class ClientConditions:
    """The blocks of one run of the client; `saw_final` tells whether a second pass is wanted."""

    starters: tuple[str, ...] = ("host", "match")
    refuses_all = False

    def __init__(self, original_host: str, facts: LocalFacts, command: str) -> None:
        self.host = original_host
        """What Host lines are compared with: the resolved name in the final pass."""
        self.final_pass = False
        self.saw_final = False
        self.original_host = original_host
        self._facts = facts
        self._command = command

    def applies(self, line: ConfigLine, values: dict[str, Any]) -> bool:
        """Whether the block applies. Every criterion is checked, also after one failed, but a
        command runs only if all before it hold."""
        if line.keyword == "host":
            return matches_any(line.arguments, self.host)
        result = True
        for negated, name, argument in _criteria(line):
            if name == "final":
                self.saw_final = True
            if result:
                try:
                    result = self._holds(name, argument, values) != negated
                except ValueError as error:
                    line.fail(f"Match {name}: {error}")
        return result

    def check(self, line: ConfigLine) -> None:
        """Raises ConfigError if the line is wrong."""
        if line.keyword == "match":
            list(_criteria(line))

    def permits(self, keyword: str) -> bool:
        """Every keyword may be conditional."""
        return True

    def expand(self, text: str, values: dict[str, Any]) -> str:
        """An Include's pattern, with the tokens and variables known so far."""
        return expand_tokens(text, CONNECTION_TOKENS, self.tokens(values), self._facts.environment)

    def hostname(self, values: dict[str, Any]) -> str:
        """HostName as far as it is set, else the host; in lower case. Raises ValueError for a
        bad token."""
        text = values.get("hostname")
        if text is not None:
            text = expand_tokens(text, HOST_TOKENS, {"h": self.original_host})
        return (text or self.original_host).lower()

    def tokens(self, values: dict[str, Any]) -> dict[str, Token]:
        """What tokens stand for, as far as it is set."""
        return connection_tokens(
            self._facts,
            self.original_host,
            self.hostname(values),
            values.get("port", 22),
            values.get("user", self._facts.user),
            values.get("host_key_alias"),
            jumps_text(values.get("proxy_jump", ())),
        )

    def _holds(self, name: str, argument: str, values: dict[str, Any]) -> bool:
        match name:
            case "all":
                return True
            case "final" | "canonical":
                return self.final_pass
            case "host":
                return matches_host(argument, self.hostname(values))
            case "originalhost":
                return matches_host(argument, self.original_host)
            case "exec":
                return self._succeeds(argument, values)
            case "localnetwork":
                return _is_on_network(argument)
            case _:
                return matches_list(argument, self._fact(name, values))

    def _fact(self, name: str, values: dict[str, Any]) -> str:
        """The text that a criterion compares with its patterns."""
        match name:
            case "user":
                return str(values.get("user", self._facts.user))
            case "localuser":
                return self._facts.user
            case "tagged":
                return str(values.get("tag", ""))
            case "version":
                return f"qsh_{__version__}"
            case "command":
                return self._command or values.get("remote_command") or ""
            case _:
                if values.get("session_type") == "none":
                    return "none"
                return "exec" if self._fact("command", values) else "shell"

    def _succeeds(self, command: str, values: dict[str, Any]) -> bool:
        """Run by the user's shell, without input and output; ssh does so too."""
        from subprocess import DEVNULL, run

        shell = self._facts.environment.get("SHELL") or "/bin/sh"
        command = expand_tokens(command, CONNECTION_TOKENS, self.tokens(values))
        try:
            done = run([shell, "-c", command], stdin=DEVNULL, stdout=DEVNULL, check=False)
        except OSError as error:
            raise ValueError(f"cannot run {shell}: {error.strerror}") from None
        return done.returncode == 0


def _criteria(line: ConfigLine) -> Iterator[tuple[bool, str, str]]:
    """(negated, name, argument) of a Match line; `name=argument` may be one word."""
    words = list(line.arguments)
    names = []
    while words:
        name, equals, argument = words.pop(0).partition("=")
        negated, name = name.startswith("!"), name.removeprefix("!").lower()
        names.append(name)
        if name in ALONE and not equals:
            yield negated, name, ""
            continue
        if name not in WITH_ARGUMENT:
            line.fail(f"unknown Match criterion {name!r}")
        if not equals and not words:
            line.fail(f"Match {name} needs an argument")
        yield negated, name, argument if equals else words.pop(0)
    if "all" in names and set(names) - set(ALONE):
        line.fail("Match all goes together with canonical and final only")


def _is_on_network(networks: str) -> bool:
    from qsh.config.interfaces import local_addresses
    from qsh.config.patterns import matches_address

    return any(matches_address(networks, address) for address in local_addresses())
