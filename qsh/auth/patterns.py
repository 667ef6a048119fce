"""Patterns of ssh_config(5) PATTERNS, sshd(8) `from=` and address lists.

Pure text in, answers out: nothing is resolved. Matching takes time proportional to
text x pattern at worst, never exponential, since some patterns come from strangers' certificates.
"""

from enum import IntEnum

MAX_PATTERN = 1023
"""Longest single pattern that can match, as in OpenSSH's match_pattern_list."""


class PatternError(ValueError):
    """The list is not well formed; whoever asked must fail closed."""


class Match(IntEnum):
    """What a list of patterns says. The numbers are OpenSSH's."""

    NEGATED = -1
    NO = 0
    YES = 1


def match_pattern(text: str, pattern: str) -> bool:
    """Whether `*` (any run) and `?` (any one character) make the pattern equal the text."""
    at = 0
    place = 0
    star = -1
    retry = 0
    while at < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, retry = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", text[at]):
            place += 1
            at += 1
        elif star >= 0:
            retry += 1
            place, at = star + 1, retry
        else:
            return False
    return all(c == "*" for c in pattern[place:])


def match_list(text: str, patterns: str, *, lower: bool = False) -> Match:
    """Match against a comma-separated list; one that begins with `!` forbids.

    `lower` puts the patterns (not the text) into lower case.
    """
    found = Match.NO
    for item in patterns.split(","):
        pattern = item.lower() if lower else item
        negated = pattern.startswith("!")
        pattern = pattern[negated:]
        if len(pattern) >= MAX_PATTERN:
            return Match.NO
        if match_pattern(text, pattern):
            if negated:
                return Match.NEGATED
            found = Match.YES
    return found


def match_hostname(host: str, patterns: str) -> Match:
    """As `match_list`, without regard to case."""
    return match_list(host.lower(), patterns, lower=True)


def match_address(address: str | None, patterns: str) -> Match:
    """Match against a list of CIDR networks and wildcard patterns, each possibly with `!`.

    With `address` None the list is only checked. Raises PatternError for an empty entry and for a
    network with host bits or too long a mask.
    """
    found = Match.NO
    for item in patterns.split(","):
        negated = item.startswith("!")
        entry = item[negated:]
        if not entry:
            raise PatternError("empty entry in address list")
        if not _address_matches(address, entry):
            continue
        if negated:
            return Match.NEGATED
        found = Match.YES
    return found


def match_host_and_address(host: str, address: str, patterns: str) -> bool:
    """`from=` of sshd(8): a name or address matches and neither is negated. Raises PatternError."""
    by_address = match_address(address, patterns)
    if by_address is Match.NEGATED:
        return False
    by_name = match_hostname(host, patterns)
    if by_name is Match.NEGATED:
        return False
    return by_name is Match.YES or by_address is Match.YES


def match_cidr_list(address: str | None, networks: str) -> bool:
    """`source-address` of a certificate: CIDR only, no wildcards, no negation.

    With `address` None the list is only checked. Raises PatternError.
    """
    found = False
    for item in networks.split(","):
        network = _network(item) if set(item) <= _CIDR_CHARACTERS else None
        if network is None:
            raise PatternError(f"invalid network {item[:60]!r}")
        if address is not None and _contains(network, address):
            found = True
    return found


_CIDR_CHARACTERS = frozenset("0123456789abcdefABCDEF.:/")
_Network = tuple[int, int, int]
"""IP version, network number, mask length."""


def _address_matches(address: str | None, entry: str) -> bool:
    network = _network(entry)
    if address is None:
        return False
    if network is not None:
        return _contains(network, address)
    return match_pattern(address, entry)


def _network(text: str) -> _Network | None:
    """The network that `text` names, or None if it names none. Raises PatternError."""
    base, slash, mask = text.partition("/")
    parsed = _ip(base)
    if parsed is None:
        return None
    version, number = parsed
    width = 32 if version == 4 else 128
    if not slash:
        return version, number, width
    if not (mask.isascii() and mask.isdigit() and len(mask) < 4):
        return None
    length = int(mask)
    if length > width or number & ((1 << (width - length)) - 1):
        raise PatternError(f"inconsistent mask length for network {text[:60]!r}")
    return version, number, length


def _contains(network: _Network, address: str) -> bool:
    parsed = _ip(address)
    if parsed is None:
        return False
    version, number, length = network
    shift = (32 if version == 4 else 128) - length
    return parsed[0] == version and parsed[1] >> shift == number >> shift


def _ip(text: str) -> tuple[int, int] | None:
    from ipaddress import ip_address

    try:
        address = ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:  # a dual-stack socket's view of an IPv4 peer
        return 4, int(mapped)
    return address.version, int(address)
