"""Kinds of values that only sshd_config has."""

from typing import Any

from qsh.config.lines import split_words
from qsh.config.patterns import check_addresses
from qsh.config.server_settings import ListenAddress, MaxStartups, PerSourcePenalties
from qsh.config.values import Kind, Words, parse_seconds, read_text, read_words

LOGIN_METHODS = ("publickey", "password", "keyboard-interactive", "hostbased")
OTHER_METHODS = ("gssapi-with-mic", "none")


def read_server_port(words: Words) -> int:
    """0 to 65535; 0 takes any free port."""
    word = read_text(words)
    if not (word.isascii() and word.isdecimal() and len(word) < 6 and int(word) < 65536):
        raise ValueError(f"bad port {word!r} (1 to 65535, or 0 for any free one)")
    return int(word)


def read_listen_address(words: Words) -> tuple[ListenAddress]:
    """`host`, `host:port`, `[address]`, `[address]:port` or a bare IPv6 address; port -1 stands
    for those of Port."""
    if len(words) == 3 and words[1].lower() == "rdomain":
        raise ValueError("rdomain is not supported yet")
    word = read_text(words)
    host, colon, port = word.rpartition(":")
    if not colon or word.endswith("]") or (":" in host and not host.endswith("]")):
        host, port = word, ""
    elif not host:
        raise ValueError(f"no address before the port in {word!r}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return (ListenAddress(host, read_server_port((port,)) if port else -1),)


def read_max_startups(words: Words) -> MaxStartups:
    """`full`, or `begin:rate:full`."""
    word = read_text(words)
    parts = word.split(":")
    if len(parts) not in (1, 3) or not all(p.isascii() and p.isdecimal() for p in parts):
        raise ValueError(f"{word!r} is neither a number nor begin:rate:full")
    begin, rate, full = (int(part[:9]) for part in (parts[0], *(parts[1:] or ("100", parts[0]))))
    if not 0 < begin <= full or not 0 < rate <= 100:
        raise ValueError(f"{word!r}: begin must not be over full, rate is 1 to 100")
    return MaxStartups(begin, rate, full)


def read_number_or_none(words: Words) -> int | None:
    """A decimal number; `none` for no limit."""
    word = read_text(words)
    if word.lower() == "none":
        return None
    if not (word.isascii() and word.isdecimal() and int(word[:9]) > 0 and len(word) < 10):
        raise ValueError(f"{word!r} is neither a number nor none")
    return int(word)


def read_net_block_size(words: Words) -> tuple[int, int]:
    """`ipv4bits`, or `ipv4bits:ipv6bits`."""
    word = read_text(words)
    ipv4, colon, ipv6 = word.partition(":")
    bits = []
    for text, most in ((ipv4, 32), (ipv6 if colon else "128", 128)):
        if not (text.isascii() and text.isdecimal() and len(text) < 4 and int(text) <= most):
            raise ValueError(f"{word!r}: bits are 0 to 32 for IPv4, 0 to 128 for IPv6")
        bits.append(int(text))
    return bits[0], bits[1]


_PENALTY_TIMES = {
    "crash": "crash", "authfail": "authfail", "noauth": "noauth", "grace-exceeded": "grace",
    "refuseconnection": "refused", "max": "longest", "min": "shortest",
}  # fmt: skip
_PENALTY_COUNTS = {"max-sources4": "most_ipv4", "max-sources6": "most_ipv6"}
_PENALTY_OVERFLOWS = {"overflow": "overflow", "overflow6": "overflow_ipv6"}


def read_penalties(words: Words) -> PerSourcePenalties | None:
    """`yes`, `no`, or `name:value` as often as one likes; what is not named keeps its default."""
    if len(words) == 1 and words[0].lower() in ("yes", "no"):
        return PerSourcePenalties() if words[0].lower() == "yes" else None
    found: dict[str, Any] = {}
    for word in read_words(words):
        name, colon, value = word.partition(":")
        name = name.lower()
        if name in _PENALTY_TIMES and colon:
            found.setdefault(_PENALTY_TIMES[name], parse_seconds(value))
        elif name in _PENALTY_COUNTS and value.isdecimal() and int(value[:9]) > 0:
            found.setdefault(_PENALTY_COUNTS[name], int(value[:9]))
        elif name in _PENALTY_OVERFLOWS and value.lower() in ("permissive", "deny-all"):
            found.setdefault(_PENALTY_OVERFLOWS[name], value.lower())
        else:
            raise ValueError(f"bad penalty {word!r}")
    return PerSourcePenalties(**found)


def read_networks(words: Words) -> str:
    """Networks in CIDR form with commas; `none` for none."""
    word = read_text(words)
    if word.lower() == "none":
        return ""
    check_addresses(word)
    return word


def read_grace_time(words: Words) -> float | None:
    """A length of time; 0 and `none` for no limit."""
    word = read_text(words)
    return None if word.lower() == "none" else parse_seconds(word) or None


def read_users(words: Words) -> Words:
    """Patterns of users, each perhaps with `@` and a list of hosts and networks. One that could
    not be read at a login would have to keep everybody out."""
    for word in read_words(words):
        _user, at, hosts = word.rpartition("@")
        if at and not all(host.removeprefix("!") for host in hosts.split(",")):
            raise ValueError(f"{word!r} has an empty host")
        if at:
            check_addresses(hosts)
    return words


def read_login_methods(words: Words) -> tuple[tuple[str, ...], ...]:
    """Lists of methods with commas; `any` alone for any one method."""
    if len(words) == 1 and words[0].lower() == "any":
        return ()
    lists = tuple(tuple(word.split(",")) for word in words)
    for method in (method for names in lists for method in names):
        name = method.partition(":")[0]
        if name in OTHER_METHODS:
            raise ValueError(f"method {name} is not supported yet")
        if name not in LOGIN_METHODS:
            raise ValueError(f"unknown method {name!r}")
    return lists


def read_subsystem(words: Words) -> tuple[tuple[str, str]]:
    """The name, and the command with its arguments as written."""
    name, *command = words[0].split(None, 1)
    if not command:
        raise ValueError(f"{name} has no command")
    return ((name, command[0]),)


def read_root_login(words: Words) -> str:
    """PermitRootLogin."""
    word = read_text(words).lower()
    word = {"without-password": "prohibit-password", "true": "yes", "false": "no"}.get(word, word)
    if word not in ("yes", "no", "prohibit-password", "forced-commands-only"):
        raise ValueError(
            f"{words[0]!r} is none of yes, no, prohibit-password, forced-commands-only"
        )
    return word


def read_program_or_none(words: Words) -> str | None:
    """A command line that begins with an absolute path; `none` for none."""
    text = words[0]
    if text.lower() == "none":
        return None
    if not text.startswith(("/", '"/', "'/")):
        raise ValueError("the command must begin with an absolute path")
    split_words(text)
    return text


def read_key_demands(words: Words) -> Words:
    """PubkeyAuthOptions: what security keys must show."""
    known = ("none", "touch-required", "verify-required")
    for word in words:
        if word.lower() not in known:
            raise ValueError(f"{word!r} is none of {', '.join(known)}")
    return tuple(sorted({word.lower() for word in words} - {"none"}))


def read_agent(words: Words) -> str | None:
    """A socket's path, SSH_AUTH_SOCK for the one that this variable names, `none` for none."""
    word = read_text(words)
    if word.lower() == "none":
        return None
    if word != "SSH_AUTH_SOCK" and not word.startswith(("/", "~", "$")):
        raise ValueError(f"{word!r} is neither an absolute path nor SSH_AUTH_SOCK")
    return word


PORTS = Kind(lambda words: (read_server_port(words),), adds=True)
PROGRAM_OR_NONE = Kind(read_program_or_none, whole=True)
KEY_DEMANDS = Kind(read_key_demands)
AGENT = Kind(read_agent)
LISTEN_ADDRESSES = Kind(read_listen_address, adds=True)
MAX_STARTUPS = Kind(read_max_startups)
NUMBER_OR_NONE = Kind(read_number_or_none)
NET_BLOCK_SIZE = Kind(read_net_block_size)
PENALTIES = Kind(read_penalties)
NETWORKS = Kind(read_networks)
GRACE_TIME = Kind(read_grace_time)
METHODS = Kind(read_login_methods)
SUBSYSTEMS = Kind(read_subsystem, adds=True, whole=True)
ROOT_LOGIN = Kind(read_root_login)
USERS = Kind(read_users, adds=True)
