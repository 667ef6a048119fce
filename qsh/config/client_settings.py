"""The client's settings: what options and files come to, ready to use."""

from typing import TYPE_CHECKING

from qsh.config.values import KEYSTROKE_INTERVAL, AddKeys, AlgorithmList
from qsh.record import record

if TYPE_CHECKING:
    from qsh.config.canonical import NameRule
    from qsh.config.forward_specs import ForwardSpec
    from qsh.config.specs import Destination


@record
class ClientSettings:
    """One value per keyword of ssh_config(5) that works; tokens and `~` are expanded. Times are
    in seconds, paths absolute (or relative to the working directory, as written)."""

    original_host: str
    """The host as the command line names it (%n)."""
    hostname: str
    """The name or address to connect to (HostName, %h)."""
    user: str
    port: int = 22
    local_user: str = ""
    tag: str = ""
    engine: str | None = None
    """The QUIC engine by name; None for the best one."""
    congestion_control: str = "auto"
    """How fast this side sends: `cubic`, `bbr` (native engine only) or `reno`; `auto` is cubic, and
    bbr once the connection carries a tunnel."""
    kex_algorithms: AlgorithmList = AlgorithmList()
    """Key exchanges to offer, by SSH's names (config.key_exchange)."""

    canonicalize_hostname: str = "no"
    """`no`, `yes` (not for hosts behind a proxy) or `always`."""
    canonical_domains: tuple[str, ...] = ()
    canonicalize_fallback_local: bool = True
    canonicalize_max_dots: int = 1
    canonicalize_permitted_cnames: "tuple[NameRule, ...]" = ()

    address_family: str = "any"
    """`any`, `inet` or `inet6`."""
    bind_address: str | None = None
    bind_interface: str | None = None
    """Send from an address of this interface."""
    ip_qos: tuple[int | None, int | None] = (0x48, None)
    """The IP header's traffic class (DSCP in the upper six bits) of connections with a terminal
    and of others; None leaves it to the system."""
    connect_timeout: float | None = None
    connection_attempts: int = 1
    channel_timeouts: tuple[tuple[str, float], ...] = ()
    """(Type or pattern of types, seconds of idleness); `global` for all channels together."""
    server_alive_interval: float = 0.0
    """0 for never."""
    server_alive_count_max: int = 3
    version_addendum: str | None = None
    ignore_unknown: str = ""
    """Patterns of keywords to pass over, as IgnoreUnknown has them: for an ssh that reads the same
    files."""
    resume_timeout: float | None = None
    """Seconds to seek a way back to a session whose connection is lost; 0: it is over, None:
    as the kind of session suggests (client.resume)."""

    strict_host_key_checking: str = "ask"
    """`ask`, `yes`, `no` or `accept-new`."""
    user_known_hosts_files: tuple[str, ...] = ()
    global_known_hosts_files: tuple[str, ...] = ()
    hash_known_hosts: bool = False
    host_key_alias: str | None = None
    check_host_ip: bool = False
    no_host_authentication_for_localhost: bool = False
    update_host_keys: str = "no"
    """`yes`, `no` or `ask`."""
    verify_host_key_dns: str = "no"
    """`yes`, `no` or `ask`."""
    known_hosts_command: str | None = None
    """Words of a command, with tokens that only the host's key fills in."""
    revoked_host_keys: str | None = None
    host_key_algorithms: AlgorithmList = AlgorithmList()
    ca_signature_algorithms: AlgorithmList = AlgorithmList()
    fingerprint_hash: str = "sha256"
    """`sha256` or `md5`."""
    visual_host_key: bool = False

    identity_files: tuple[str, ...] = ()
    """Private key files to try, in order."""
    identity_files_given: bool = False
    """False if `identity_files` are the default ones, which need not exist."""
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    identity_agent: str | None = None
    """Path of the agent's socket; None for no agent."""
    add_keys_to_agent: AddKeys = AddKeys()
    pkcs11_provider: str | None = None
    security_key_provider: str = "internal"
    """A library; `internal` for OpenSSH's own support of USB devices."""
    pubkey_accepted_algorithms: AlgorithmList = AlgorithmList()
    hostbased_authentication: bool = False
    hostbased_accepted_algorithms: AlgorithmList = AlgorithmList()
    enable_ssh_keysign: bool = False
    """Read by ssh-keysign itself, from the system's file."""
    required_rsa_size: int = 1024
    """Bits; shorter RSA keys are refused on both sides."""

    batch_mode: bool = False
    """Never ask the user anything."""
    preferred_authentications: tuple[str, ...] = ()
    """Method names in order; empty for the usual order."""
    pubkey_authentication_mode: str = "yes"
    """`yes`, `no`, `unbound` (never name the host key) or `host-bound` (always)."""
    password_authentication: bool = True
    kbd_interactive_authentication: bool = True
    kbd_interactive_devices: tuple[str, ...] = ()
    """Sent to the server, which chooses (RFC 4256 section 3.1)."""
    number_of_password_prompts: int = 3

    request_tty: str = "auto"
    """`auto`, `yes`, `no` or `force`."""
    remote_command: str | None = None
    permit_local_command: bool = False
    local_command: str | None = None
    """Run here by the user's shell once the login stands."""
    session_type: str = "default"
    """`default`, `none` or `subsystem`."""
    fork_after_authentication: bool = False
    stdin_null: bool = False
    obscure_keystroke_timing: float = KEYSTROKE_INTERVAL
    """Seconds from one packet of keystrokes to the next; 0 leaves their timing as it is."""
    escape_char: str | None = "~"
    """One character; None for no escapes."""
    enable_escape_commandline: bool = False
    """`~C` opens a command line."""
    send_env: tuple[str, ...] = ()
    """Patterns of names to pass on."""
    set_env: tuple[tuple[str, str], ...] = ()

    local_forwards: "tuple[ForwardSpec, ...]" = ()
    remote_forwards: "tuple[ForwardSpec, ...]" = ()
    """Those without a target are SOCKS proxies at the server."""
    dynamic_forwards: "tuple[ForwardSpec, ...]" = ()
    gateway_ports: bool = False
    """Listeners without an address take connections of other machines."""
    exit_on_forward_failure: bool = False
    clear_all_forwardings: bool = False
    permit_remote_open: tuple[tuple[str, int], ...] | None = None
    """Where a remote SOCKS proxy may connect to, port 0 for any; None for anywhere."""
    stream_local_bind_mask: int = 0o177
    stream_local_bind_unlink: bool = False
    tunnel: str = "no"
    """`no`, `yes`, `point-to-point` or `ethernet`."""
    tunnel_device: tuple[int | None, int | None] = (None, None)
    """Numbers of the devices here and there; None for any."""
    forward_x11: bool = False
    forward_x11_trusted: bool = False
    """Far applications have all rights at the display."""
    forward_x11_timeout: float = 1200.0
    """Until when untrusted applications may come; 0 for ever."""
    x_auth_location: str = "/usr/bin/xauth"
    forward_agent: str | None = None
    """Path of the agent's socket to forward; None for no forwarding."""
    forwards_own_agent: bool = False
    """ForwardAgent asks for the agent in use, whether there is one or not."""

    fallback_to_ssh: str = "ask"
    """`ask`, `yes`, `no` or `bootstrap`: whether ssh takes over where no qshd is, or starts one."""
    bootstrap_command: str = "qshd"
    """What starts qshd at the host, for a shell there."""
    bootstrap_ports: tuple[int, int] = (60001, 60999)
    """The first and the last UDP port of a server that ssh starts (mosh's); 0 and 0 for any."""
    tcp_port: int | None = 443
    """The server's TCP port for streams, tried where UDP is silent; None for none."""
    proxy_command: str | None = None
    """The command whose input and output lead to the server; None for none."""
    proxy_jump: "tuple[Destination, ...]" = ()
    """The hosts on the way, in their order."""
    proxy_use_fdpass: bool = False
    """ProxyCommand passes a socket and ends."""
    config_file: str | None = None
    """`-F`, which holds for the hosts on the way as well."""

    is_for_this_visit: bool = False
    """The server is one that ssh has started, and ends with the visit."""
    control_master: str = "no"
    """`no`, `yes`, `ask`, `auto` or `autoask`."""
    control_path: str | None = None
    """The socket of the shared connection; None for none."""
    control_persist: float | None = None
    """How long a shared connection waits for the next one; 0 for ever, None not at all."""

    log_level: str = "INFO"
    """`QUIET FATAL ERROR INFO VERBOSE DEBUG1 DEBUG2 DEBUG3`."""
    log_verbose: tuple[str, ...] = ()
    """Lists of patterns of places in the source whose lines are written at any level."""
    warn_weak_crypto: bool = False
    """Say so if the key exchange does not withstand quantum computers."""
    syslog_facility: str = "USER"

    @property
    def pubkey_authentication(self) -> bool:
        """Whether keys are offered at all."""
        return self.pubkey_authentication_mode != "no"

    @property
    def host_key_name(self) -> str:
        """The name under which the host's key is known: HostKeyAlias or HostName."""
        return self.host_key_alias or self.hostname
