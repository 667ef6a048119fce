"""What a user writes to name a thing: destinations (`user@host`, `ssh://…`) and ports.

Texts to values, without a look at any file, name server or setting.
"""

from qsh.errors import UsageError
from qsh.record import record

SCHEMES = ("ssh://", "qsh://")
_SHELL_CHARACTERS = frozenset("'`\"$\\;&<>|(){}")


@record
class Destination:
    """Where to go, as the command line says it; None where it says nothing."""

    host: str
    user: str | None = None
    port: int | None = None


def parse_destination(text: str) -> Destination:
    """`[user@]host`, `ssh://[user@]host[:port]` or `qsh://[user@]host[:port]`.

    Names that a shell could take apart are refused, since they may end in a ProxyCommand or
    Match exec (as in ssh.c, `valid_hostname` and `valid_ruser`). Raises UsageError.
    """
    if text.lower().startswith(SCHEMES):
        return _checked(_parse_uri(text), text)
    user, at, host = text.rpartition("@")
    if at and not user:
        raise UsageError(f"no user before the @ in {text!r}")
    return _checked(Destination(_without_brackets(host), user if at else None), text)


def parse_jump_host(text: str) -> Destination:
    """`[user@]host[:port]`, as ProxyJump has it. Raises UsageError."""
    user, at, host = text.rpartition("@")
    if at and not user:
        raise UsageError(f"no user before the @ in {text!r}")
    name, port = _host_and_port(host, text)
    return _checked(Destination(name, user if at else None, port), text)


def parse_port(text: str) -> int:
    """A port from 1 to 65535, in decimal digits only. Raises ValueError."""
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:6]) < 65536 or len(text) > 5:
        raise ValueError(f"bad port {text!r} (1 to 65535)")
    return int(text)


def _parse_uri(text: str) -> Destination:
    """RFC 3986 authority; `;fingerprint=…` after the user (draft-ietf-secsh-scp-sftp-ssh-uri) is
    passed over, as ssh does."""
    authority, _, path = text.partition("://")[2].partition("/")
    if path:
        raise UsageError(f"a path has no meaning here: {text!r}")
    user, at, host = authority.rpartition("@")
    user = _percent_decoded(user.partition(";")[0], text)
    if at and not user:
        raise UsageError(f"no user before the @ in {text!r}")
    name, port = _host_and_port(host, text)
    return Destination(name, user if at else None, port)


def _host_and_port(text: str, whole: str) -> tuple[str, int | None]:
    name, colon, digits = text.rpartition(":")
    if not colon or text.endswith("]"):
        return _without_brackets(text), None
    if ":" in name and not name.startswith("["):
        raise UsageError(f"write an IPv6 address in brackets: {whole!r}")
    try:
        return _without_brackets(name), parse_port(digits)
    except ValueError as error:
        raise UsageError(f"{error} in {whole!r}") from None


def _percent_decoded(text: str, whole: str) -> str:
    head, *parts = text.split("%")
    out = bytearray(head.encode(errors="surrogateescape"))
    for part in parts:
        try:
            if not part[:2].isalnum():
                raise ValueError
            out.append(int(part[:2].ljust(2, "?"), 16))
        except ValueError:
            raise UsageError(f"bad % encoding in {whole!r}") from None
        out += part[2:].encode(errors="surrogateescape")
    return out.decode(errors="surrogateescape")


def _without_brackets(host: str) -> str:
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _checked(destination: Destination, text: str) -> Destination:
    if not is_valid_host(destination.host):
        raise UsageError(f"{text!r} names no host")
    if destination.user is not None and not is_valid_user(destination.user):
        raise UsageError(f"the user name in {text!r} has characters that none may have")
    return destination


def is_valid_host(host: str) -> bool:
    """Whether the name may be used: not empty, no leading `-`, blank, control or shell sign."""
    return (
        host != ""
        and host[0] != "-"
        and not any(c in _SHELL_CHARACTERS or c.isspace() or not c.isprintable() for c in host)
    )


def is_valid_user(user: str) -> bool:
    """As `is_valid_host`, but `$`, backslash inside and single blanks are names in use."""
    return (
        user != ""
        and user[0] != "-"
        and user[-1] != "\\"
        and " -" not in user
        and not any(c in "'`\";&<>|(){}" or ord(c) < 32 or ord(c) == 127 for c in user)
    )
