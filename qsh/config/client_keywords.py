"""Every keyword of ssh_config(5), OpenSSH 10 and before, and qsh's own: what becomes of each.

A keyword is refused if leaving it out could change what the user gets or how safe it is; one that
only makes things faster or only matters to something that is refused is read without effect.
"""

from qsh.config.forward_values import (
    AGENT,
    DEVICES,
    DYNAMIC_FORWARD,
    LOCAL_FORWARD,
    MASK,
    PERMIT_OPEN,
    REMOTE_FORWARD,
    TUNNEL,
)
from qsh.config.jumps import PROXY_JUMP
from qsh.config.key_exchange import KEY_EXCHANGES
from qsh.config.keywords import Effect, Keyword, not_yet, table, without_effect, works
from qsh.config.traffic_class import IP_QOS
from qsh.config.values import (
    ADD_KEYS,
    ADDRESS_FAMILY,
    ALGORITHMS,
    ANYTHING,
    ASK,
    ASSIGNMENTS,
    CHANNEL_TIMEOUTS,
    COMMA_LIST,
    COMMAND,
    COMMAND_OR_NONE,
    ESCAPE,
    FACILITY,
    FLAG,
    KEYSTROKE_TIMING,
    LOG_LEVEL,
    MORE_WORDS,
    PATH_OR_NONE,
    PATHS,
    PERSIST,
    PORT,
    PORT_OR_NONE,
    PORTS,
    SECONDS,
    SECONDS_OR_NONE,
    Kind,
    Words,
    choice,
    integer,
    read_text,
    read_warnings,
)


def _read_name_rules(words: Words) -> object:
    from qsh.config.canonical import read_rules  # few files have any

    return read_rules(words)


MORE_PATHS = Kind(lambda words: (read_text(words),), adds=True)

CONDITIONS = [works("Host"), works("Match"), works("Include"), works("IgnoreUnknown")]

CONNECTION = [
    works("HostName", "hostname"),
    works("User", "user"),
    works("Port", "port", PORT),
    works("Tag", "tag"),
    works("Engine", "engine", choice("auto", "aioquic", "quinn")),
    works("CongestionControl", "congestion_control", choice("auto", "cubic", "bbr", "reno")),
    works("KexAlgorithms", "kex_algorithms", KEY_EXCHANGES),
    works("AddressFamily", "address_family", ADDRESS_FAMILY),
    works("BindAddress", "bind_address"),
    works("BindInterface", "bind_interface"),
    works("ChannelTimeout", "channel_timeouts", CHANNEL_TIMEOUTS),
    works("IPQoS", "ip_qos", IP_QOS),
    works("ConnectTimeout", "connect_timeout", SECONDS_OR_NONE),
    works("ConnectionAttempts", "connection_attempts", integer(1)),
    works("ServerAliveInterval", "server_alive_interval", SECONDS),
    works("ServerAliveCountMax", "server_alive_count_max", integer(0)),
    works("ResumeTimeout", "resume_timeout", SECONDS),
    works("CanonicalizeHostname", "canonicalize_hostname",
          choice("no", "yes", "always", true="yes", false="no")),
    works("CanonicalDomains", "canonical_domains", PATHS),
    works("CanonicalizeFallbackLocal", "canonicalize_fallback_local", FLAG),
    works("CanonicalizeMaxDots", "canonicalize_max_dots", integer(0)),
    works("CanonicalizePermittedCNAMEs", "canonicalize_permitted_cnames", Kind(_read_name_rules)),
    works("RefuseConnection", "refuse_connection"),
    works("VersionAddendum", "version_addendum", COMMAND_OR_NONE),
]

TRUST = [
    works("StrictHostKeyChecking", "strict_host_key_checking",
          choice("ask", "yes", "no", "accept-new", true="yes", false="no", off="no")),
    works("UserKnownHostsFile", "user_known_hosts_files", PATHS),
    works("GlobalKnownHostsFile", "global_known_hosts_files", PATHS),
    works("HashKnownHosts", "hash_known_hosts", FLAG),
    works("HostKeyAlias", "host_key_alias"),
    works("CheckHostIP", "check_host_ip", FLAG),
    works("NoHostAuthenticationForLocalhost", "no_host_authentication_for_localhost", FLAG),
    works("UpdateHostKeys", "update_host_keys", ASK),
    works("VerifyHostKeyDNS", "verify_host_key_dns", ASK),
    works("KnownHostsCommand", "known_hosts_command", COMMAND_OR_NONE),
    works("RevokedHostKeys", "revoked_host_keys", PATH_OR_NONE),
    works("HostKeyAlgorithms", "host_key_algorithms", ALGORITHMS),
    works("CASignatureAlgorithms", "ca_signature_algorithms", ALGORITHMS),
    works("FingerprintHash", "fingerprint_hash", choice("sha256", "md5")),
    works("WarnWeakCrypto", "warn_weak_crypto", Kind(read_warnings)),
    works("VisualHostKey", "visual_host_key", FLAG),
    works("RequiredRSASize", "required_rsa_size", integer(0)),
]  # fmt: skip

LOGIN = [
    works("IdentityFile", "identity_files", MORE_PATHS),
    works("CertificateFile", "certificate_files", MORE_PATHS),
    works("IdentitiesOnly", "identities_only", FLAG),
    works("IdentityAgent", "identity_agent"),
    works("AddKeysToAgent", "add_keys_to_agent", ADD_KEYS),
    works("PKCS11Provider", "pkcs11_provider", PATH_OR_NONE),
    works("SecurityKeyProvider", "security_key_provider"),
    works("PubkeyAcceptedAlgorithms", "pubkey_accepted_algorithms", ALGORITHMS),
    works("HostbasedAuthentication", "hostbased_authentication", FLAG),
    works("HostbasedAcceptedAlgorithms", "hostbased_accepted_algorithms", ALGORITHMS),
    works("EnableSSHKeysign", "enable_ssh_keysign", FLAG),
    works("BatchMode", "batch_mode", FLAG),
    works("PreferredAuthentications", "preferred_authentications", COMMA_LIST),
    works("PubkeyAuthentication", "pubkey_authentication_mode",
          choice("yes", "no", "unbound", "host-bound", true="yes", false="no")),
    works("PasswordAuthentication", "password_authentication", FLAG),
    works("KbdInteractiveAuthentication", "kbd_interactive_authentication", FLAG),
    works("KbdInteractiveDevices", "kbd_interactive_devices", COMMA_LIST),
    works("NumberOfPasswordPrompts", "number_of_password_prompts", integer(0)),
]  # fmt: skip

SESSION = [
    works("RequestTTY", "request_tty",
          choice("auto", "yes", "no", "force", true="yes", false="no")),
    works("RemoteCommand", "remote_command", COMMAND_OR_NONE),
    works("PermitLocalCommand", "permit_local_command", FLAG),
    works("LocalCommand", "local_command", COMMAND_OR_NONE),
    works("SessionType", "session_type", choice("default", "none", "subsystem")),
    works("ForkAfterAuthentication", "fork_after_authentication", FLAG),
    works("StdinNull", "stdin_null", FLAG),
    works("ObscureKeystrokeTiming", "obscure_keystroke_timing", KEYSTROKE_TIMING),
    works("EscapeChar", "escape_char", ESCAPE),
    works("EnableEscapeCommandline", "enable_escape_commandline", FLAG),
    works("SendEnv", "send_env", MORE_WORDS),
    works("SetEnv", "set_env", ASSIGNMENTS),
    works("LogLevel", "log_level", LOG_LEVEL),
    works("LogVerbose", "log_verbose", PATHS),
    works("SyslogFacility", "syslog_facility", FACILITY),
]  # fmt: skip

FORWARDS = [
    works("LocalForward", "local_forwards", LOCAL_FORWARD),
    works("RemoteForward", "remote_forwards", REMOTE_FORWARD),
    works("DynamicForward", "dynamic_forwards", DYNAMIC_FORWARD),
    works("GatewayPorts", "gateway_ports", FLAG),
    works("ExitOnForwardFailure", "exit_on_forward_failure", FLAG),
    works("ClearAllForwardings", "clear_all_forwardings", FLAG),
    works("PermitRemoteOpen", "permit_remote_open", PERMIT_OPEN),
    works("StreamLocalBindMask", "stream_local_bind_mask", MASK),
    works("StreamLocalBindUnlink", "stream_local_bind_unlink", FLAG),
    works("ForwardAgent", "forward_agent", AGENT),
    works("Tunnel", "tunnel", TUNNEL),
    works("TunnelDevice", "tunnel_device", DEVICES),
    works("ForwardX11", "forward_x11", FLAG),
    works("ForwardX11Trusted", "forward_x11_trusted", FLAG),
    works("ForwardX11Timeout", "forward_x11_timeout", SECONDS),
    works("XAuthLocation", "x_auth_location"),
]

WAYS = [
    works("BootstrapCommand", "bootstrap_command", COMMAND),
    works("BootstrapPorts", "bootstrap_ports", PORTS),
    works("FallbackToSsh", "fallback_to_ssh",
          choice("ask", "yes", "no", "bootstrap", true="yes", false="no")),
    works("ProxyCommand", "proxy_command", COMMAND_OR_NONE),
    works("ProxyJump", "proxy_jump", PROXY_JUMP),
    works("ProxyUseFdpass", "proxy_use_fdpass", FLAG),
    works("TcpPort", "tcp_port", PORT_OR_NONE),
]  # fmt: skip

SHARING = [
    works("ControlMaster", "control_master",
          choice("no", "yes", "ask", "auto", "autoask", true="yes", false="no")),
    works("ControlPath", "control_path", PATH_OR_NONE),
    works("ControlPersist", "control_persist", PERSIST),
]  # fmt: skip

WITHOUT_EFFECT = [
    *without_effect("QUIC's TLS 1.3 chooses the cipher", "Ciphers", "MACs"),
    *without_effect("QUIC renews its keys on its own", "RekeyLimit"),
    *without_effect("QUIC has no compression", "Compression", "CompressionLevel"),
    *without_effect("there is no TCP; see ServerAliveInterval", "TCPKeepAlive"),
    *without_effect("matters only to GSSAPIAuthentication, which is not supported",
                    "GSSAPIDelegateCredentials", "GSSAPIClientIdentity", "GSSAPIServerIdentity",
                    "GSSAPIRenewalForcesRekey", "GSSAPITrustDNS", "GSSAPIKexAlgorithms"),
    *without_effect("obsolete, in ssh as well",
                    "Protocol", "Cipher", "FallBackToRsh", "GlobalKnownHostsFile2",
                    "RhostsAuthentication", "UserKnownHostsFile2", "UseRoaming", "UseRsh",
                    "UsePrivilegedPort", "AFSTokenPassing", "KerberosAuthentication",
                    "KerberosTGTPassing", "RSAAuthentication", "RhostsRSAAuthentication"),
]  # fmt: skip

NO_GSSAPI = "qsh has no GSSAPI: log in with a key, or use ssh"

REFUSED = [
    not_yet("GSSAPIKeyExchange", NO_GSSAPI, "no", "false"),
    Keyword("GSSAPIAuthentication", Effect.NOT_YET, ANYTHING, reason=NO_GSSAPI,
            harmless=("no", "false"), shipped=True),
]  # fmt: skip

OTHER_NAMES = {
    "ChallengeResponseAuthentication": "KbdInteractiveAuthentication",
    "SKeyAuthentication": "KbdInteractiveAuthentication",
    "TISAuthentication": "KbdInteractiveAuthentication",
    "DSAAuthentication": "PubkeyAuthentication",
    "IdentityFile2": "IdentityFile",
    "KeepAlive": "TCPKeepAlive",
    "HostbasedKeyTypes": "HostbasedAcceptedAlgorithms",
    "PubkeyAcceptedKeyTypes": "PubkeyAcceptedAlgorithms",
    "SmartcardDevice": "PKCS11Provider",
}

CLIENT_KEYWORDS = table(
    [*CONDITIONS, *CONNECTION, *TRUST, *LOGIN, *SESSION, *FORWARDS, *SHARING, *WAYS,
     *WITHOUT_EFFECT, *REFUSED],
    OTHER_NAMES,
)
