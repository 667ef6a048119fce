"""`-G`: the settings that a connection would have, as lines of qsh_config(5) to be read back.

One line per keyword that works, as ssh(1) has it: keywords in lower case, tokens and `~` expanded.
A file of these lines gives the same settings again, so a `%` that is meant is written twice.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from qsh.auth.blobs import CA_SIGNATURE_ALGORITHMS
from qsh.client.login.algorithms import allowed_names
from qsh.config.client import EXPANDED
from qsh.config.client_keywords import CLIENT_KEYWORDS
from qsh.config.client_settings import ClientSettings
from qsh.config.jumps import jumps_text
from qsh.config.key_exchange import GROUPS
from qsh.config.traffic_class import class_names
from qsh.config.values import AddKeys, AlgorithmList
from qsh.config.written import assignments, bracketed, channel_timeouts, mask, permits, quoted

if TYPE_CHECKING:
    from qsh.config.canonical import NameRule
    from qsh.config.forward_specs import ForwardSpec, Place

UNSET = {
    "connect_timeout": "none",
    "control_path": "none",
    "control_persist": "no",
    "tcp_port": "none",
    "engine": "auto",
    "escape_char": "none",
    "forward_agent": "no",
    "identity_agent": "none",
    "known_hosts_command": "none",
    "permit_remote_open": "any",
    "local_command": "none",
    "pkcs11_provider": "none",
    "remote_command": "none",
    "revoked_host_keys": "none",
    "version_addendum": "none",
}
"""What is written for None; of other fields that are None nothing is."""
EMPTY = {
    "log_verbose": "none",
    "canonical_domains": "none",
    "channel_timeouts": "none",
    "canonicalize_permitted_cnames": "none",
    "certificate_files": "none",
    "global_known_hosts_files": "none",
    "identity_files": "none",
    "permit_remote_open": "none",
    "user_known_hosts_files": "none",
}
"""What is written where there is nothing."""
_COMMANDS = ("remote_command", "local_command", "proxy_command")
_ONE_EACH = ("identity_files", "certificate_files", "send_env")


def lines_of(settings: ClientSettings) -> Iterator[str]:
    """`host …` and then all keywords that have a value."""
    yield f"host {settings.original_host}"
    for row in CLIENT_KEYWORDS.rows:
        if row.field:
            value = getattr(settings, row.field, None)
            if row.field == "forward_agent" and settings.forwards_own_agent:
                value = "yes"
            for text in _texts(row.field, value):
                yield f"{row.name.lower()} {text}"


def _texts(field: str, value: Any) -> list[str]:
    """The values of all lines of one keyword."""
    if value is None:
        return [UNSET[field]] if field in UNSET else []
    if value == () or value == "":
        return [EMPTY[field]] if field in EMPTY else []
    if field in _WRITERS:
        return _WRITERS[field](value)
    if field in EXPANDED or field in (*_COMMANDS, "hostname", "security_key_provider"):
        value = _doubled(value)
    if field in (*_COMMANDS, "bootstrap_command", "known_hosts_command",
                 "version_addendum"):  # fmt: skip
        return [value]
    if field in _ONE_EACH:
        return [quoted(item) for item in value]
    return [_text(value)]


def _text(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return str(int(value))
        case str():
            return quoted(value)
        case AlgorithmList():
            return ",".join(allowed_names(value))
        case tuple():
            return " ".join(map(quoted, value))
    return str(value)


def _doubled(value: Any) -> Any:
    """With each `%` doubled, against a second expansion."""
    if isinstance(value, str):
        return value.replace("%", "%%")
    return tuple(map(_doubled, value))


def _escape(char: str) -> list[str]:
    return [f"^{chr(ord(char) | 64)}" if ord(char) < 32 else quoted(char)]


def _forwards(forwards: "tuple[ForwardSpec, ...]") -> list[str]:
    return [
        " ".join(
            quoted(place)
            for place in (
                spec.prefix + _place(spec.listen),
                _place(spec.target) if spec.target else "",
            )
            if place
        )
        for spec in forwards
    ]


def _place(place: "Place") -> str:
    if place.path:
        path = place.path.replace("\\", "\\\\").replace(":", "\\:")
        return str(_doubled(path))
    host = "" if place.host is None else f"{bracketed(place.host)}:"
    return f"{host}{place.port}"


def _authorities(algorithms: AlgorithmList) -> list[str]:
    return [",".join(algorithms.resolve(tuple(sorted(CA_SIGNATURE_ALGORITHMS))))]


def _adding(adding: AddKeys) -> list[str]:
    if adding.when == "yes" and adding.lifetime:
        return [str(int(adding.lifetime))]
    return [f"{adding.when} {int(adding.lifetime)}" if adding.lifetime else adding.when]


def _name_rules(rules: "tuple[NameRule, ...]") -> list[str]:
    return [" ".join(f"{rule.sources}:{rule.targets}" for rule in rules)]


_WRITERS: dict[str, Callable[[Any], list[str]]] = {
    "add_keys_to_agent": _adding,
    "bootstrap_ports": lambda ports: [":".join(map(str, ports)) if all(ports) else "any"],
    "ca_signature_algorithms": _authorities,
    "canonicalize_permitted_cnames": _name_rules,
    "channel_timeouts": channel_timeouts,
    "dynamic_forwards": _forwards,
    "escape_char": _escape,
    "ip_qos": class_names,
    "local_forwards": _forwards,
    "obscure_keystroke_timing": lambda time: [f"interval:{round(time * 1000)}" if time else "no"],
    "permit_remote_open": permits,
    "kex_algorithms": lambda wanted: [",".join(wanted.resolve(tuple(GROUPS)))],
    "kbd_interactive_devices": lambda names: [",".join(names)],
    "preferred_authentications": lambda names: [",".join(names)],
    "proxy_jump": lambda jumps: [jumps_text(jumps)],
    "remote_forwards": _forwards,
    "set_env": assignments,
    "tunnel_device": lambda units: [":".join("any" if u is None else str(u) for u in units)],
    "stream_local_bind_mask": mask,
}
