"""`-T` and `-G`: the settings in force, as lines of qshd_config(5) that can be read back.

One line per keyword, as sshd prints them: keywords in lower case, every default written out. What
the file says of keywords without effect is repeated; of those that tools ask sshd for, what QUIC
does in their place stands there otherwise.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from qsh.auth.blobs import ALGORITHMS, CA_SIGNATURE_ALGORITHMS, CERTIFICATE_SUFFIX
from qsh.config.key_exchange import GROUPS
from qsh.config.keywords import Effect, Keyword
from qsh.config.server import ServerConfig, load_server
from qsh.config.server_conditions import ConnectionFacts
from qsh.config.server_keywords import SERVER_KEYWORDS
from qsh.config.server_settings import (
    ListenAddress,
    MaxStartups,
    PerSourcePenalties,
    ServerSettings,
)
from qsh.config.server_values import read_server_port
from qsh.config.traffic_class import class_names
from qsh.config.values import AlgorithmList
from qsh.config.written import assignments, bracketed, channel_timeouts, mask, permits, quoted
from qsh.errors import UsageError
from qsh.server.accounts.accounts import find_account

WITHOUT_EFFECT = {
    "ciphers": "TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256",
    "compression": "no",
    "macs": "<implicit>",
    "tcpkeepalive": "no",
}
"""What is true of qshd where the file says nothing."""
UNSET = {
    "engine": "auto",
    "login_grace_time": "0",
    "per_source_penalties": "no",
    "pam_service_name": "",
    "permit_listen": "any",
    "permit_open": "any",
}
"""What is written for None; `none` for all others, and nothing for an empty text."""
EMPTY = {
    "log_verbose": "none",
    "authentication_methods": "any",
    "authorized_keys_files": "none",
    "channel_timeouts": "none",
    "permit_listen": "none",
    "permit_open": "none",
    "pubkey_auth_options": "none",
}
"""What is written for an empty list; nothing for others."""
ONE_EACH = {
    "accept_env", "allow_groups", "allow_users", "deny_groups", "deny_users", "host_certificates",
    "host_keys", "ports",
}  # fmt: skip
"""Lists that have a line for each entry."""
SPECS = ("user", "host", "addr", "laddr", "lport", "rdomain")
"""What `-C` may name."""


def settings_lines(options_file: str | None, options: Sequence[Any], specs: Sequence[str]
                   ) -> list[str]:  # fmt: skip
    """The lines for a configuration; `specs` are those of `-C`. Raises ConfigError, UsageError."""
    config = load_server(options_file, options)
    settings = config.for_connection(parse_specs(specs)) if specs else config.settings
    return list(lines_of(settings, config))


def lines_of(settings: ServerSettings, config: ServerConfig) -> Iterator[str]:
    """All keywords in the order of the table."""
    for row in SERVER_KEYWORDS.rows:
        for text in _values(row, settings, config):
            yield f"{row.name.lower()} {text}"


def parse_specs(specs: Sequence[str]) -> ConnectionFacts:
    """`user=alice,addr=192.0.2.1` and so on, as of `-C`. Raises UsageError."""
    given: dict[str, str] = {}
    is_known = True
    for word in ",".join(specs).split(","):
        name, _, value = word.partition("=")
        if name == "invalid-user" and not value:
            is_known = False
        elif name in SPECS and value:
            given.setdefault(name, value)
        else:
            raise UsageError(f"-C {word!r}: say {'=, '.join(SPECS)}= or invalid-user")
    try:
        port = read_server_port((given.get("lport", "0"),))
    except ValueError as error:
        raise UsageError(f"-C: {error}") from None
    account = find_account(given.get("user", ""))
    return ConnectionFacts(
        given.get("user", ""), given.get("addr", ""), given.get("laddr", ""), port,
        account.group_names if account else (), given.get("host", ""), is_known,
        given.get("rdomain", ""),
    )  # fmt: skip


def _values(row: Keyword, settings: ServerSettings, config: ServerConfig) -> list[str]:
    """The texts behind the keyword, one per line."""
    name = row.name.lower()
    if row.effect is Effect.NONE:
        text = config.unused.get(name, WITHOUT_EFFECT.get(name, ""))
        return [text] if text else []
    if row.effect is Effect.NOT_YET:
        return list(row.harmless[:1])
    if not row.field:
        return []
    value = getattr(settings, row.field)
    if value is None:
        return [UNSET.get(row.field, "none")] if UNSET.get(row.field) != "" else []
    if value == ():
        return [EMPTY[row.field]] if row.field in EMPTY else []
    if row.field in _WRITERS:
        return _WRITERS[row.field](value)
    if row.kind.whole:
        return [value]
    if row.field in ONE_EACH:
        return [quoted(str(item)) for item in value]
    return [_text(value)]


def _text(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return str(int(value))
        case str():
            return quoted(value)
        case MaxStartups():
            return f"{value.begin}:{value.rate}:{value.full}"
        case tuple():
            return " ".join(map(quoted, value))
    return str(value)


def _listen(addresses: tuple[ListenAddress, ...]) -> list[str]:
    found = []
    for address in addresses:
        for host in (address.host,) if address.host else ("::", "0.0.0.0"):  # noqa: S104
            found.append(f"{bracketed(host)}:{address.port}")
    return found


def _penalties(one: PerSourcePenalties) -> list[str]:
    return [
        f"crash:{one.crash:.0f} authfail:{one.authfail:.0f} noauth:{one.noauth:.0f} "
        f"grace-exceeded:{one.grace:.0f} refuseconnection:{one.refused:.0f} "
        f"max:{one.longest:.0f} min:{one.shortest:.0f} max-sources4:{one.most_ipv4} "
        f"max-sources6:{one.most_ipv6} overflow:{one.overflow} overflow6:{one.overflow_ipv6}"
    ]


def signature_names() -> tuple[str, ...]:
    """All names under which a key can sign, plain or certified."""
    rsa = [f"rsa-sha2-{bits}{suffix}" for bits in (512, 256) for suffix in ("", CERTIFICATE_SUFFIX)]
    return (*sorted(name for name in ALGORITHMS if not name.startswith("ssh-rsa")), *rsa)


def _algorithms(wanted: AlgorithmList) -> list[str]:
    return [",".join(wanted.resolve(signature_names()))]


def _authorities(wanted: AlgorithmList) -> list[str]:
    return [",".join(wanted.resolve(tuple(sorted(CA_SIGNATURE_ALGORITHMS))))]


_WRITERS: dict[str, Callable[[Any], list[str]]] = {
    "authentication_methods": lambda lists: [" ".join(map(",".join, lists))],
    "ca_signature_algorithms": _authorities,
    "channel_timeouts": channel_timeouts,
    "host_key_algorithms": _algorithms,
    "hostbased_accepted_algorithms": _algorithms,
    "ip_qos": class_names,
    "kex_algorithms": lambda wanted: [",".join(wanted.resolve(tuple(GROUPS)))],
    "listen_addresses": _listen,
    "per_source_net_block_size": lambda bits: [f"{bits[0]}:{bits[1]}"],
    "per_source_penalties": _penalties,
    "per_source_penalty_exempt_list": lambda networks: [networks or "none"],
    "permit_listen": permits,
    "permit_open": permits,
    "pubkey_accepted_algorithms": _algorithms,
    "set_env": assignments,
    "stream_local_bind_mask": mask,
    "subsystems": lambda pairs: [f"{quoted(name)} {command}" for name, command in pairs],
}
