"""The server's settings: what options and the file come to, ready to use."""

from dataclasses import dataclass

from qsh.config.values import AlgorithmList


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A UDP address to serve; an empty host stands for all addresses. Port 0: any free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class MaxStartups:
    """Connections that may be without login: refuse `rate` percent from `begin` on, rising to
    all at `full`."""

    begin: int = 10
    rate: int = 30
    full: int = 100


@dataclass(frozen=True, slots=True)
class PerSourcePenalties:
    """Seconds that a source must wait for what one of its connections did; with OpenSSH's
    defaults."""

    crash: float = 90.0
    authfail: float = 5.0
    noauth: float = 1.0
    grace: float = 10.0
    refused: float = 10.0
    longest: float = 600.0
    """What adds up is never more (`max`)."""
    shortest: float = 15.0
    """Less than that is only remembered (`min`)."""
    most_ipv4: int = 65536
    """Sources to remember (`max-sources4`)."""
    most_ipv6: int = 65536
    overflow: str = "permissive"
    """Beyond that: `permissive` forgets the oldest, `deny-all` refuses everybody."""
    overflow_ipv6: str = "permissive"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One value per keyword of sshd_config(5) that works. Times are in seconds. Paths with %
    tokens are expanded per user by `accounts`' facts: see qsh.config.server.user_path."""

    ports: tuple[int, ...] = (22,)
    address_family: str = "any"
    """`any`, `inet` or `inet6`."""
    listen_addresses: tuple[ListenAddress, ...] = (ListenAddress("", 22),)
    tcp_port: int | None = None
    """TLS with streams of QUIC packets, for networks without UDP; None for no such port."""
    """Every address with its port, ports filled in."""
    host_keys: tuple[str, ...] = ()
    """Private key files, or public ones whose private half the agent has."""
    host_key_agent: str | None = None
    """The socket of an agent that holds host keys; `SSH_AUTH_SOCK` for the one named there."""
    host_certificates: tuple[str, ...] = ()
    engine: str | None = None
    """The QUIC engine by name; None for the best one."""
    congestion_control: str = "auto"
    """How fast this side sends: `cubic`, `bbr` (native engine only) or `reno`; `auto` is cubic, and
    bbr once the connection carries a tunnel."""
    kex_algorithms: AlgorithmList = AlgorithmList()  # noqa: RUF009  (frozen)
    """Key exchanges to take, by SSH's names (config.key_exchange)."""
    pid_file: str | None = None
    use_dns: bool = False

    login_grace_time: float | None = 120.0
    """None for no limit."""
    max_auth_tries: int = 6
    max_sessions: int = 10
    max_startups: MaxStartups = MaxStartups()
    per_source_max_startups: int | None = None
    per_source_net_block_size: tuple[int, int] = (32, 128)
    """Bits of IPv4 and IPv6 addresses that make one source."""
    per_source_penalties: PerSourcePenalties | None = PerSourcePenalties()
    """None for none."""
    per_source_penalty_exempt_list: str = ""
    """Networks, with commas."""
    client_alive_interval: float = 0.0
    """0 for never."""
    client_alive_count_max: int = 3
    channel_timeouts: tuple[tuple[str, float], ...] = ()
    """Type of channel → seconds that it may be idle; 0 for no limit."""
    unused_connection_timeout: float | None = None
    """Seconds that a connection may be without a channel."""
    refuse_connection: bool = False
    version_addendum: str | None = None
    """What the server says of itself to clients that log in."""
    ip_qos: tuple[int | None, int | None] = (0x48, None)
    """The IP header's traffic class (DSCP in the upper six bits) of sessions with a terminal and
    of others; None leaves it to the system."""

    authentication_methods: tuple[tuple[str, ...], ...] = ()
    """Alternatives, each a list to be done in full; empty for any one method."""
    pubkey_authentication: bool = True
    password_authentication: bool = True
    kbd_interactive_authentication: bool = True
    permit_empty_passwords: bool = False
    hostbased_authentication: bool = False
    hostbased_accepted_algorithms: AlgorithmList = AlgorithmList()  # noqa: RUF009
    hostbased_uses_name_from_packet_only: bool = False
    """Whether a client may say itself which host it is."""
    ignore_rhosts: str = "yes"
    """Of users' own lists of hosts that vouch: `yes`, `no` or `shosts-only` (read ~/.shosts)."""
    ignore_user_known_hosts: bool = False
    use_pam: bool = False
    """Where nothing is said: whether root has a service of PAM's for qshd."""
    pam_service_name: str | None = None
    """The service's name in pam.d(5); None for the first of those qshd knows that is there."""
    authorized_keys_files: tuple[str, ...] = (".ssh/authorized_keys", ".ssh/authorized_keys2")
    authorized_keys_command: str | None = None
    """A program whose output is read as such a file, with tokens (server.key_commands)."""
    authorized_keys_command_user: str | None = None
    authorized_principals_file: str | None = None
    authorized_principals_command: str | None = None
    authorized_principals_command_user: str | None = None
    pubkey_auth_options: tuple[str, ...] = ()
    """`touch-required`, `verify-required`: what security keys must show, whatever lines say."""
    trusted_user_ca_keys: str | None = None
    revoked_keys: str | None = None
    strict_modes: bool = True
    pubkey_accepted_algorithms: AlgorithmList = AlgorithmList()  # noqa: RUF009
    ca_signature_algorithms: AlgorithmList = AlgorithmList()  # noqa: RUF009
    host_key_algorithms: AlgorithmList = AlgorithmList()  # noqa: RUF009
    required_rsa_size: int = 1024
    """Bits; shorter RSA keys are refused."""
    fingerprint_hash: str = "sha256"

    permit_root_login: str = "prohibit-password"
    """`yes`, `no`, `prohibit-password` or `forced-commands-only`."""
    allow_users: tuple[str, ...] = ()
    """Patterns, also USER@HOST; an empty list allows all, in each of these four."""
    deny_users: tuple[str, ...] = ()
    allow_groups: tuple[str, ...] = ()
    deny_groups: tuple[str, ...] = ()

    accept_env: tuple[str, ...] = ()
    """Patterns of names that a client may set."""
    set_env: tuple[tuple[str, str], ...] = ()
    permit_user_environment: str = "no"
    """`yes`, `no` or a list of patterns of names."""
    permit_tty: bool = True
    permit_user_rc: bool = True
    force_command: str | None = None
    chroot_directory: str | None = None
    """The root of the user's sessions, with % tokens."""
    expose_auth_info: bool = False
    """Whether SSH_USER_AUTH names a file that tells how the user logged in."""
    subsystems: tuple[tuple[str, str], ...] = ()
    """Name and command of each."""
    banner: str | None = None
    """A file sent before the login."""
    print_motd: bool = True
    print_last_log: bool = True

    session_timeout: float | None = 7 * 24 * 3600.0
    """Seconds that a session with a terminal waits for a client; 0: it ends with its connection,
    None: for ever."""
    command_timeout: float | None = 600.0
    """The same for a session without a terminal."""
    session_ticket_lifetime: float | None = 7 * 24 * 3600.0
    """Seconds after a login in which its client may come back to its sessions without another;
    0: never, None: for as long as they are kept."""
    detached_output: str = "drop"
    """What a terminal's session does whose output nobody takes: `drop` the oldest, or `wait`."""
    max_kept_sessions: int = 100
    """Sessions of one user that may wait for clients."""

    disable_forwarding: bool = False
    allow_tcp_forwarding: str = "yes"
    """`yes`, `no`, `local` or `remote`; for UDP as well."""
    allow_stream_local_forwarding: str = "yes"
    allow_agent_forwarding: bool = True
    permit_open: tuple[tuple[str, int], ...] | None = None
    """Where clients may have us connect to, host `*` and port 0 for any; None for anywhere."""
    permit_listen: tuple[tuple[str, int], ...] | None = None
    gateway_ports: str = "no"
    """`no`, `yes` or `clientspecified`."""
    stream_local_bind_mask: int = 0o177
    stream_local_bind_unlink: bool = False
    permit_tunnel: str = "no"
    """`yes`, `no`, `point-to-point` or `ethernet`."""
    x11_forwarding: bool = False
    x11_display_offset: int = 10
    """The first display that a session may have."""
    x11_use_localhost: bool = True
    """Displays are for this machine only."""
    x_auth_location: str = "/usr/bin/xauth"

    log_level: str = "INFO"
    """`QUIET FATAL ERROR INFO VERBOSE DEBUG1 DEBUG2 DEBUG3`."""
    log_verbose: tuple[str, ...] = ()
    """Lists of patterns of places in the source whose lines are written at any level."""
    syslog_facility: str = "AUTH"
