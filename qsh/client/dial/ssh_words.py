"""Command lines for the system's ssh, made from ours. Pure."""

from collections.abc import Iterator, Sequence

from qsh.config.client_settings import ClientSettings
from qsh.config.lines import ConfigLine

OWN_KEYWORDS = ("BootstrapCommand", "BootstrapPorts", "CongestionControl", "Engine",
                "FallbackToSsh", "ResumeTimeout", "TcpPort")  # fmt: skip
"""What ssh does not know and shall not stumble over."""
NEWER_KEYWORDS = ("ChannelTimeout", "ForkAfterAuthentication", "LogVerbose",
                  "ObscureKeystrokeTiming", "RefuseConnection", "RequiredRSASize", "SessionType",
                  "StdinNull", "Tag", "VersionAddendum", "WarnWeakCrypto")  # fmt: skip
"""What an old ssh need not know."""
OF_THE_VISIT = frozenset((
    "addkeystoagent", "clearallforwardings", "controlmaster", "controlpath", "controlpersist",
    "dynamicforward", "exitonforwardfailure", "forkafterauthentication", "forwardagent",
    "forwardx11", "hostname", "localcommand", "localforward", "permitlocalcommand", "port",
    "remotecommand", "remoteforward", "requesttty", "sessiontype", "stdinnull", "tunnel",
    "tunneldevice", "user",
))  # fmt: skip
"""What the QUIC connection does, not the ssh that starts its server; or what is said anyway."""
FOR_THE_START = {
    "ClearAllForwardings": "yes", "ControlMaster": "no", "ControlPath": "none",
    "ForwardAgent": "no", "ForwardX11": "no", "PermitLocalCommand": "no",
    "RemoteCommand": "none", "RequestTTY": "no", "SessionType": "default", "StdinNull": "no",
    "ForkAfterAuthentication": "no", "Tunnel": "no",
}  # fmt: skip


def ignore_unknown(settings: ClientSettings) -> list[str]:
    """The option that lets ssh pass over our own keywords, those that it need not know, and what
    the user has it pass over: of several IgnoreUnknown the first counts."""
    names = (*OWN_KEYWORDS, *NEWER_KEYWORDS, *filter(None, (settings.ignore_unknown,)))
    return ["-o", f"IgnoreUnknown={','.join(names)}"]


def words_for_bootstrap(settings: ClientSettings, lines: Sequence[ConfigLine],
                        command: str) -> list[str]:
    """An ssh that runs the command and nothing else, to the host of these settings. `lines` are
    those of our command line."""
    words = ["ssh", *ignore_unknown(settings)]
    if settings.config_file is not None:
        words += ["-F", settings.config_file]
    for name, value in FOR_THE_START.items():
        words += ["-o", f"{name}={value}"]
    words += ["-l", settings.user, "-p", str(settings.port)]
    if settings.hostname != settings.original_host:
        words += ["-o", f"HostName={settings.hostname.replace('%', '%%')}"]
    return [*words, *_passed_on(lines), "--", settings.original_host, command]


def _passed_on(lines: Sequence[ConfigLine]) -> Iterator[str]:
    own = {name.lower() for name in OWN_KEYWORDS}
    for line in lines:
        if line.keyword not in OF_THE_VISIT and line.keyword not in own:
            yield from ("-o", f"{line.name} {_written(line)}")


def _written(line: ConfigLine) -> str:
    """The value as in a file. What came by a letter is one word, whatever is in it."""
    if line.source.startswith("-o"):
        return line.rest
    value = line.rest.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
