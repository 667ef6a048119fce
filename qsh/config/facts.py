"""What configuration may ask about this side: user, home, host name, environment."""

import os
import pwd
from collections.abc import Mapping

from qsh import paths
from qsh.config.tokens import Token
from qsh.record import record


@record
class LocalFacts:
    """The local user and machine."""

    user: str
    uid: int
    home: str
    hostname: str
    environment: Mapping[str, str]


def local_facts() -> LocalFacts:
    """Of this process."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = os.environ.get("USER", str(uid))
    return LocalFacts(user, uid, paths.home(), os.uname().nodename, os.environ)


def connection_tokens(
    facts: LocalFacts, original_host: str, host: str, port: int, user: str,
    alias: str | None = None, jumps: str = "",
) -> dict[str, Token]:  # fmt: skip
    """The tokens of ssh_config(5), which all tell of one connection to be made."""

    def fingerprint() -> str:
        from hashlib import sha1

        text = f"{facts.hostname}{host}{port}{user}{jumps}"
        return sha1(text.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()

    return {
        "C": fingerprint,
        "L": facts.hostname.partition(".")[0],
        "d": facts.home,
        "h": host,
        "i": str(facts.uid),
        "j": jumps,
        "k": (alias or original_host).lower(),
        "l": facts.hostname,
        "n": original_host,
        "p": str(port),
        "r": user,
        "u": facts.user,
    }
