"""CanonicalizeHostname: short names in full, before the configuration is read again (ssh.c)."""

import socket
from collections.abc import Callable
from typing import Any

from qsh.config.patterns import matches_host
from qsh.config.values import Words
from qsh.errors import ConfigError
from qsh.record import record

Resolve = Callable[[str, int], str | None]
"""A name and an address family (0 for any) to the canonical name in the DNS; None if the name is
not found. What a CNAME leads to, or the name itself."""

FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


@record
class NameRule:
    """CanonicalizePermittedCNAMEs: names in `sources` may lead to names in `targets`; both are
    pattern lists."""

    sources: str
    targets: str


def read_rules(words: Words) -> tuple[NameRule, ...]:
    """`sources:targets` words; `none` for no rule, `any` for all names."""
    if len(words) == 1 and words[0].lower() == "none":
        return ()
    rules = []
    for word in words:
        sources, colon, targets = word.partition(":")
        if not sources or bool(colon) != bool(targets) or ":" in targets:
            raise ValueError(f"{word!r} is not SOURCES:TARGETS")
        rules.append(NameRule(sources, targets or sources))
    return tuple(rules)


def system_resolver(name: str, family: int) -> str | None:
    """As getaddrinfo(3) knows it."""
    try:
        found = socket.getaddrinfo(
            name, None, family, socket.SOCK_DGRAM, 0, socket.AI_CANONNAME
        )
    except (OSError, UnicodeError):
        return None
    return (found[0][3] or name).rstrip(".").lower() if found else None


def canonical_host(host: str, values: dict[str, Any], resolve: Resolve) -> str:
    """The host's full name as the settings read so far want it; the host itself where it needs
    none. Raises ConfigError if there is none and CanonicalizeFallbackLocal is off."""
    wanted = values.get("canonicalize_hostname", "no")
    has_proxy = bool(values.get("proxy_command") or values.get("proxy_jump"))
    if has_proxy and wanted != "always":
        return host
    family = FAMILIES.get(values.get("address_family", ""), 0)
    rules = values.get("canonicalize_permitted_cnames", ())
    is_short = host.count(".") <= values.get("canonicalize_max_dots", 1) and host[-1] != "."
    if wanted != "no" and is_short and not _is_address(host):
        for domain in values.get("canonical_domains", ()):
            full = f"{host}.{domain.lstrip('.')}"
            if (name := resolve(full, family)) is not None:
                return _followed(full, name, rules)
        if not values.get("canonicalize_fallback_local", True):
            raise ConfigError(f"{host} is found in none of CanonicalDomains, and "
                              "CanonicalizeFallbackLocal is no")
    if rules and not _is_address(host) and (name := resolve(host, family)) is not None:
        return _followed(host, name, rules)
    return host


def _followed(host: str, name: str, rules: tuple[NameRule, ...]) -> str:
    for rule in rules:
        if matches_host(rule.sources, host) and matches_host(rule.targets, name):
            return name
    return host


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return True
    return False

