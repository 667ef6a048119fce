"""From command line and ssh_config files to ClientSettings.

Order of precedence: options, ~/.config/qsh/config, ~/.ssh/config, /etc/qsh/qsh_config,
/etc/ssh/ssh_config; or the options and the one file of `-F`. Tokens and `~` are expanded last,
when every value is known.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from qsh import paths
from qsh.config.client_conditions import ClientConditions
from qsh.config.client_keywords import CLIENT_KEYWORDS
from qsh.config.client_settings import ClientSettings
from qsh.config.facts import LocalFacts, local_facts
from qsh.config.lines import ConfigLine
from qsh.config.patterns import matches_wildcard
from qsh.config.reader import ConfigFile, ConfigReader
from qsh.config.tokens import CONNECTION_TOKENS, expand_tokens
from qsh.errors import ConfigError

if TYPE_CHECKING:
    from qsh.config.canonical import Resolve

DEFAULT_IDENTITIES = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
"""In ~/.ssh, in ssh's order."""

EXPANDED = ("identity_files", "certificate_files", "user_known_hosts_files", "revoked_host_keys",
            "identity_agent", "forward_agent", "pkcs11_provider",
            "control_path")  # fmt: skip
"""Fields whose values are paths with tokens, `${NAME}` and `~`."""

FORWARDS = ("local_forwards", "remote_forwards", "dynamic_forwards")
"""Fields that ClearAllForwardings empties, and whose Unix sockets' paths take tokens."""

DERIVED = ("config_file", "original_host", "local_user", "identity_files_given",
           "is_for_this_visit", "forwards_own_agent", "ignore_unknown")
"""Fields that no keyword's value stands in as it is."""


def load_client(
    host: str,
    options: Sequence[ConfigLine] = (),
    *,
    config_file: str | None = None,
    command: str = "",
    facts: LocalFacts | None = None,
    files: Sequence[ConfigFile] | None = None,
    resolve: "Resolve | None" = None,
) -> ClientSettings:
    """The settings for a connection to `host` (as the command line names it).

    `config_file` is `-F`; `command` the words after the host, for Match; `files` replaces the
    usual files, `resolve` the system's resolver (tests). Raises ConfigError with file and line.
    """
    facts = facts or local_facts()
    conditions = ClientConditions(host, facts, command)
    reader = ConfigReader(CLIENT_KEYWORDS, conditions)
    files = client_files(config_file) if files is None else files
    reader.read_options(options)
    for file in files:
        reader.read_file(file)
    finish = _Finish(reader, conditions, facts, config_file)
    is_canonical = finish.make_canonical(resolve)
    if conditions.saw_final or is_canonical:
        conditions.final_pass = True
        conditions.host = finish.hostname()
        for file in files:
            reader.read_file(file)
    return finish.settings()


def client_files(config_file: str | None) -> list[ConfigFile]:
    """The files to read, in order; `config_file` is the argument of `-F`."""
    own, ssh = paths.user_config(), paths.ssh_folder()
    if config_file is not None:
        if config_file.lower() == "none":
            return []
        return [ConfigFile(config_file, ssh, required=True)]
    return [
        ConfigFile(f"{own}/config", own, private=True),
        ConfigFile(f"{ssh}/config", ssh, private=True),
        ConfigFile(f"{paths.SYSTEM_CONFIG}/qsh_config", paths.SYSTEM_CONFIG, is_system=True),
        ConfigFile(f"{paths.SYSTEM_SSH}/ssh_config", paths.SYSTEM_SSH, is_system=True),
    ]


class _Finish:
    """Defaults, tokens and `~`, once all lines are read."""

    def __init__(
        self, reader: ConfigReader, conditions: ClientConditions, facts: LocalFacts,
        config_file: str | None,
    ) -> None:  # fmt: skip
        self._config_file = config_file
        self.values = reader.values
        self._lines = reader.lines
        self._conditions = conditions
        self._facts = facts

    def settings(self) -> ClientSettings:
        """Everything known. Raises ConfigError."""
        self._refuse_if_told()
        values = dict(self.values)
        given = "identity_files" in values
        values["identity_files"] = self._identities(given)
        values.setdefault("update_host_keys", self._updates_host_keys())
        values.setdefault("user_known_hosts_files", self._in_ssh("known_hosts", "known_hosts2"))
        values.setdefault("global_known_hosts_files", _global_known_hosts())
        values["hostname"] = self.hostname()
        values["engine"] = _none_if(values.get("engine"), "auto")
        values["send_env"] = _without_removed(values.get("send_env", ()))
        values.setdefault("user", self._facts.user)
        values["identity_agent"] = self._agent()
        values["forwards_own_agent"] = values.get("forward_agent") == "yes"
        values["forward_agent"] = self._forwarded_agent()
        self._finish_forwards(values)
        for name in EXPANDED:
            if values.get(name):
                values[name] = self._expanded(name, values[name])
        values["certificate_files"] = _without_none(values.get("certificate_files", ()))
        _keep_one_way(values)
        for name in ("remote_command", "local_command", "proxy_command"):
            if values.get(name) is not None:
                values[name] = self._token_text(name, values[name], None)
        values["security_key_provider"] = self._device_library()
        return ClientSettings(
            original_host=self._conditions.original_host,
            config_file=self._config_file,
            local_user=self._facts.user,
            identity_files_given=given,
            **{name: value for name, value in values.items() if name in _FIELDS},
        )

    def make_canonical(self, resolve: "Resolve | None") -> bool:
        """Take the host's full name for its name; whether the files are to be read again."""
        values = self.values
        is_wanted: bool = values.get("canonicalize_hostname", "no") != "no"
        if not (is_wanted or values.get("canonicalize_permitted_cnames")):
            return False
        from qsh.config.canonical import canonical_host, system_resolver

        host = self.hostname()
        name = canonical_host(host, values, resolve or system_resolver)
        if name != host:
            values["hostname"] = name.replace("%", "%%")
        return is_wanted

    def hostname(self) -> str:
        """The name or address to connect to. Raises ConfigError."""
        try:
            return self._conditions.hostname(self.values)
        except ValueError as error:
            self._lines["hostname"].fail(f"HostName: {error}")

    def _refuse_if_told(self) -> None:
        if reason := self.values.get("refuse_connection"):
            self._lines["refuse_connection"].fail(f"the connection is refused: {reason}")

    def _identities(self, given: bool) -> tuple[str, ...]:
        if not given:
            return self._in_ssh(*DEFAULT_IDENTITIES)
        return _without_none(dict.fromkeys(self.values["identity_files"]))

    def _updates_host_keys(self) -> str:
        """As ssh: only the usual file is written to unasked, and not where the DNS is to tell."""
        has_other_file = "user_known_hosts_files" in self.values
        asks_dns = self.values.get("verify_host_key_dns", "no") != "no"
        return "no" if has_other_file or asks_dns else "yes"

    def _in_ssh(self, *names: str) -> tuple[str, ...]:
        return tuple(f"{self._facts.home}/.ssh/{name}" for name in names)

    def _device_library(self) -> str:
        """SecurityKeyProvider: a path, `$NAME` of the environment, or `internal`."""
        text: str = self.values.get("security_key_provider", "$SSH_SK_PROVIDER")
        if text.startswith("$") and not text.startswith("${"):
            return self._facts.environment.get(text[1:]) or "internal"
        return text if text == "internal" else str(self._expanded("security_key_provider", text))

    def _finish_forwards(self, values: dict[str, Any]) -> None:
        for name in FORWARDS:
            if values.get("clear_all_forwardings"):
                values[name] = ()
            elif values.get(name):
                values[name] = tuple(self._with_paths(name, spec) for spec in values[name])

    def _with_paths(self, field: str, spec: Any) -> Any:
        """A forward with the tokens in its sockets' paths replaced."""
        from qsh.config.forward_specs import ForwardSpec, Place

        listen, target = (
            Place(path=self._expanded(field, place.path)) if place and place.path else place
            for place in (spec.listen, spec.target)
        )
        return ForwardSpec(listen, target, spec.is_udp)

    def _forwarded_agent(self) -> str | None:
        """ForwardAgent: the agent in use, or another's socket."""
        text = self.values.get("forward_agent")
        if text == "yes":
            text = self.values.get("identity_agent", "SSH_AUTH_SOCK")
        return self._agent_path(text)

    def _agent(self) -> str | None:
        """The socket: what IdentityAgent names, else SSH_AUTH_SOCK."""
        return self._agent_path(self.values.get("identity_agent", "SSH_AUTH_SOCK"))

    def _agent_path(self, text: str | None) -> str | None:
        if text is None or text.lower() == "none":
            return None
        if text == "SSH_AUTH_SOCK" or (text[0] == "$" and not text.startswith("${")):
            return self._facts.environment.get(text.removeprefix("$")) or None
        return str(text)

    def _expanded(self, field: str, value: Any) -> Any:
        """A path or each of several, with variables, tokens and `~`."""
        if not isinstance(value, str):
            return tuple(self._expanded(field, path) for path in value)
        text = self._token_text(field, value, self._facts.environment)
        try:
            if text == "~" or text.startswith("~/"):
                return self._facts.home + text[1:]
            return paths.expand_user(text)
        except ValueError as error:
            self._fail(field, error)

    def _token_text(self, field: str, text: str, environment: Any) -> str:
        try:
            tokens = self._conditions.tokens(self.values)
            return expand_tokens(text, CONNECTION_TOKENS, tokens, environment)
        except ValueError as error:
            self._fail(field, error)

    def _fail(self, field: str, error: ValueError) -> NoReturn:
        line = self._lines.get(field)
        if line is None:
            raise ConfigError(str(error)) from None
        line.fail(f"{line.name}: {error}")


def _keep_one_way(values: dict[str, Any]) -> None:
    """Of ProxyCommand and ProxyJump the one that is named first counts, also where it is none."""
    named = [name for name in values if name in ("proxy_command", "proxy_jump")]
    for name in named[1:]:
        del values[name]


_FIELDS = frozenset(ClientSettings.__match_args__)


def _global_known_hosts() -> tuple[str, ...]:
    return (f"{paths.SYSTEM_SSH}/ssh_known_hosts", f"{paths.SYSTEM_SSH}/ssh_known_hosts2")


def _without_none(files: Any) -> tuple[str, ...]:
    return tuple(file for file in files if file.lower() != "none")


def _none_if(value: str | None, word: str) -> str | None:
    return None if value == word else value


def _without_removed(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """SendEnv's patterns; `-NAME` takes away those before it that it matches."""
    kept: dict[str, None] = {}
    for pattern in patterns:
        if pattern.startswith("-"):
            kept = {k: None for k in kept if not matches_wildcard(pattern[1:], k)}
        else:
            kept[pattern] = None
    return tuple(kept)
