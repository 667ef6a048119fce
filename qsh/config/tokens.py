"""Tokens in values: `%h` and its kin, and `${NAME}` (ssh_config(5) TOKENS, ENVIRONMENT VARIABLES).

Pure: the values that tokens stand for are passed in.
"""

from collections.abc import Callable, Mapping

HOST_TOKENS = "%h"
CONNECTION_TOKENS = "%CLdhijklnpru"
"""What most keywords take; each is a letter of `Tokens`' table."""
KNOWN_HOSTS_TOKENS = CONNECTION_TOKENS + "HIKft"
"""KnownHostsCommand's: also what is searched for and why, the host's key, its fingerprint, type."""
ACCOUNT_TOKENS = "%hUu"
"""sshd_config(5): home, uid, user of the account."""

Token = str | Callable[[], str]


def expand_tokens(
    text: str, allowed: str, tokens: Mapping[str, Token],
    environment: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Replace tokens, and `${NAME}` if an environment is given, in one pass: what is put in is
    not looked at again. Raises ValueError for a token or variable that is not there."""
    out = []
    position = 0
    while position < len(text):
        char = text[position]
        if char == "%":
            out.append(_token(text[position + 1 : position + 2], allowed, tokens))
            position += 2
        elif environment is not None and text.startswith("${", position):
            end = text.find("}", position)
            out.append(_variable(text[position + 2 : end] if end > 0 else "", environment))
            position = end + 1
        else:
            out.append(char)
            position += 1
    return "".join(out)


def _token(letter: str, allowed: str, tokens: Mapping[str, Token]) -> str:
    if letter == "%":
        return "%"
    if not letter or letter not in allowed or letter not in tokens:
        raise ValueError(f"unknown token %{letter}")
    value = tokens[letter]
    return value if isinstance(value, str) else value()


def _variable(name: str, environment: Mapping[str, str]) -> str:
    if not name:
        raise ValueError("${ without a name or without }")
    if name not in environment:
        raise ValueError(f"the environment has no {name}")
    return environment[name]
