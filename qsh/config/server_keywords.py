"""Every keyword of sshd_config(5), OpenSSH 10 and before, and qsh's own: what becomes of each.

A keyword that restricts is refused if qshd cannot keep it; one that permits what qshd does not do
at all is read without effect.
"""

from qsh.config.forward_values import (
    DIRECTIONS,
    GATEWAY_PORTS,
    MASK,
    PERMIT_LISTEN,
    PERMIT_OPEN,
    TUNNEL,
)
from qsh.config.key_exchange import KEY_EXCHANGES
from qsh.config.keywords import not_yet, table, without_effect, works
from qsh.config.server_values import (
    AGENT,
    GRACE_TIME,
    KEY_DEMANDS,
    LISTEN_ADDRESSES,
    MAX_STARTUPS,
    METHODS,
    NET_BLOCK_SIZE,
    NETWORKS,
    NUMBER_OR_NONE,
    PENALTIES,
    PORTS,
    PROGRAM_OR_NONE,
    ROOT_LOGIN,
    SUBSYSTEMS,
    USERS,
)
from qsh.config.traffic_class import IP_QOS
from qsh.config.values import (
    ADDRESS_FAMILY,
    ALGORITHMS,
    ASSIGNMENTS,
    CHANNEL_TIMEOUTS,
    COMMAND_OR_NONE,
    FLAG,
    LOG_LEVEL,
    MORE_WORDS,
    PATH_OR_NONE,
    PATHS,
    PORT_OR_NONE,
    SECONDS,
    SECONDS_OR_NONE,
    TEXT,
    Kind,
    choice,
    integer,
    read_text,
    read_user_environment,
)

FACILITIES = choice("AUTH", "AUTHPRIV", "DAEMON", "USER", *(f"LOCAL{n}" for n in range(8)))
MORE_PATHS = Kind(lambda words: (read_text(words),), adds=True)

LISTENER = [
    works("Match"),
    works("Include"),
    works("Port", "ports", PORTS),
    works("TcpPort", "tcp_port", PORT_OR_NONE),
    works("AddressFamily", "address_family", ADDRESS_FAMILY),
    works("ListenAddress", "listen_addresses", LISTEN_ADDRESSES),
    works("HostKey", "host_keys", MORE_PATHS),
    works("HostCertificate", "host_certificates", MORE_PATHS),
    works("HostKeyAgent", "host_key_agent", AGENT),
    works("HostKeyAlgorithms", "host_key_algorithms", ALGORITHMS),
    works("Engine", "engine", choice("auto", "aioquic", "quinn")),
    works("CongestionControl", "congestion_control", choice("auto", "cubic", "bbr", "reno")),
    works("KexAlgorithms", "kex_algorithms", KEY_EXCHANGES),
    works("PidFile", "pid_file", PATH_OR_NONE),
    works("UseDNS", "use_dns", FLAG),
    works("LogLevel", "log_level", LOG_LEVEL),
    works("LogVerbose", "log_verbose", PATHS),
    works("SyslogFacility", "syslog_facility", FACILITIES),
    works("MaxStartups", "max_startups", MAX_STARTUPS),
    works("PerSourceMaxStartups", "per_source_max_startups", NUMBER_OR_NONE),
    works("PerSourceNetBlockSize", "per_source_net_block_size", NET_BLOCK_SIZE),
    works("PerSourcePenalties", "per_source_penalties", PENALTIES),
    works("PerSourcePenaltyExemptList", "per_source_penalty_exempt_list", NETWORKS),
    works("MaxSessions", "max_sessions", integer(0)),
    works("ClientAliveInterval", "client_alive_interval", SECONDS),
    works("ClientAliveCountMax", "client_alive_count_max", integer(0)),
    works("ChannelTimeout", "channel_timeouts", CHANNEL_TIMEOUTS),
    works("UnusedConnectionTimeout", "unused_connection_timeout", SECONDS_OR_NONE),
    works("RefuseConnection", "refuse_connection", FLAG),
    works("IPQoS", "ip_qos", IP_QOS),
    works("VersionAddendum", "version_addendum", COMMAND_OR_NONE),
]

LOGIN = [
    works("LoginGraceTime", "login_grace_time", GRACE_TIME),
    works("MaxAuthTries", "max_auth_tries", integer(1)),
    works("AuthenticationMethods", "authentication_methods", METHODS),
    works("PubkeyAuthentication", "pubkey_authentication", FLAG),
    works("PasswordAuthentication", "password_authentication", FLAG),
    works("KbdInteractiveAuthentication", "kbd_interactive_authentication", FLAG),
    works("PermitEmptyPasswords", "permit_empty_passwords", FLAG),
    works("HostbasedAuthentication", "hostbased_authentication", FLAG),
    works("HostbasedAcceptedAlgorithms", "hostbased_accepted_algorithms", ALGORITHMS),
    works("HostbasedUsesNameFromPacketOnly", "hostbased_uses_name_from_packet_only", FLAG),
    works("IgnoreRhosts", "ignore_rhosts",
          choice("yes", "no", "shosts-only", true="yes", false="no")),
    works("IgnoreUserKnownHosts", "ignore_user_known_hosts", FLAG),
    works("UsePAM", "use_pam", FLAG),
    works("PAMServiceName", "pam_service_name", TEXT),
    works("AuthorizedKeysFile", "authorized_keys_files", PATHS),
    works("AuthorizedKeysCommand", "authorized_keys_command", PROGRAM_OR_NONE),
    works("AuthorizedKeysCommandUser", "authorized_keys_command_user", PATH_OR_NONE),
    works("AuthorizedPrincipalsFile", "authorized_principals_file", PATH_OR_NONE),
    works("AuthorizedPrincipalsCommand", "authorized_principals_command", PROGRAM_OR_NONE),
    works("AuthorizedPrincipalsCommandUser", "authorized_principals_command_user",
          PATH_OR_NONE),
    works("PubkeyAuthOptions", "pubkey_auth_options", KEY_DEMANDS),
    works("TrustedUserCAKeys", "trusted_user_ca_keys", PATH_OR_NONE),
    works("RevokedKeys", "revoked_keys", PATH_OR_NONE),
    works("StrictModes", "strict_modes", FLAG),
    works("PubkeyAcceptedAlgorithms", "pubkey_accepted_algorithms", ALGORITHMS),
    works("CASignatureAlgorithms", "ca_signature_algorithms", ALGORITHMS),
    works("RequiredRSASize", "required_rsa_size", integer(0)),
    works("FingerprintHash", "fingerprint_hash", choice("sha256", "md5")),
    works("PermitRootLogin", "permit_root_login", ROOT_LOGIN),
    works("AllowUsers", "allow_users", USERS),
    works("DenyUsers", "deny_users", USERS),
    works("AllowGroups", "allow_groups", MORE_WORDS),
    works("DenyGroups", "deny_groups", MORE_WORDS),
]

SESSION = [
    works("AcceptEnv", "accept_env", MORE_WORDS),
    works("SetEnv", "set_env", ASSIGNMENTS),
    works("PermitUserEnvironment", "permit_user_environment", Kind(read_user_environment)),
    works("PermitTTY", "permit_tty", FLAG),
    works("PermitUserRC", "permit_user_rc", FLAG),
    works("ForceCommand", "force_command", COMMAND_OR_NONE),
    works("ChrootDirectory", "chroot_directory", PATH_OR_NONE),
    works("ExposeAuthInfo", "expose_auth_info", FLAG),
    works("Subsystem", "subsystems", SUBSYSTEMS),
    works("Banner", "banner", PATH_OR_NONE),
    works("PrintMotd", "print_motd", FLAG),
    works("PrintLastLog", "print_last_log", FLAG),
    works("SessionTimeout", "session_timeout", SECONDS_OR_NONE),
    works("CommandTimeout", "command_timeout", SECONDS_OR_NONE),
    works("SessionTicketLifetime", "session_ticket_lifetime", SECONDS_OR_NONE),
    works("DetachedOutput", "detached_output", choice("drop", "screen", "wait")),
    works("MaxKeptSessions", "max_kept_sessions", integer(0)),
]

FORWARDS = [
    works("DisableForwarding", "disable_forwarding", FLAG),
    works("AllowTcpForwarding", "allow_tcp_forwarding", DIRECTIONS),
    works("AllowStreamLocalForwarding", "allow_stream_local_forwarding", DIRECTIONS),
    works("AllowAgentForwarding", "allow_agent_forwarding", FLAG),
    works("PermitOpen", "permit_open", PERMIT_OPEN),
    works("PermitListen", "permit_listen", PERMIT_LISTEN),
    works("GatewayPorts", "gateway_ports", GATEWAY_PORTS),
    works("StreamLocalBindMask", "stream_local_bind_mask", MASK),
    works("StreamLocalBindUnlink", "stream_local_bind_unlink", FLAG),
    works("PermitTunnel", "permit_tunnel", TUNNEL),
    works("X11Forwarding", "x11_forwarding", FLAG),
    works("X11DisplayOffset", "x11_display_offset", integer(0)),
    works("X11UseLocalhost", "x11_use_localhost", FLAG),
    works("XAuthLocation", "x_auth_location", TEXT),
]

WITHOUT_EFFECT = [
    *without_effect("QUIC's TLS 1.3 chooses the cipher", "Ciphers", "MACs"),
    *without_effect("key exchanges by finite fields are not used", "ModuliFile"),
    *without_effect("QUIC renews its keys on its own", "RekeyLimit"),
    *without_effect("QUIC has no compression", "Compression"),
    *without_effect("there is no TCP; see ClientAliveInterval", "TCPKeepAlive"),
    *without_effect("matters only to GSSAPIAuthentication, which is not supported",
                    "GSSAPICleanupCredentials", "GSSAPIStrictAcceptorCheck",
                    "GSSAPIStoreCredentialsOnRekey", "GSSAPIKexAlgorithms",
                    "GSSAPIDelegateCredentials"),
    *without_effect("matters only to KerberosAuthentication, which is not supported",
                    "KerberosOrLocalPasswd", "KerberosTicketCleanup", "KerberosGetAFSToken"),
    *without_effect("qshd checks security keys by itself", "SecurityKeyProvider"),
    *without_effect("there is no version text to send", "DebianBanner"),
    *without_effect("qshd's processes are its own", "SshdSessionPath", "SshdAuthPath",
                    "UsePrivilegeSeparation"),
    *without_effect("obsolete, in sshd as well",
                    "Protocol", "UseLogin", "KeyRegenerationInterval", "ServerKeyBits",
                    "RSAAuthentication", "RhostsAuthentication", "RhostsRSAAuthentication",
                    "AuthorizedKeysFile2", "ReverseMappingCheck", "VerifyReverseMapping",
                    "PAMAuthenticationViaKbdInt", "CheckMail", "AFSTokenPassing",
                    "KerberosTGTPassing"),
]  # fmt: skip

NO_GSSAPI = "qshd has no GSSAPI: let people log in with keys"

REFUSED = [
    not_yet("GSSAPIAuthentication", NO_GSSAPI, "no", "false"),
    not_yet("GSSAPIKeyExchange", NO_GSSAPI, "no", "false"),
    not_yet("KerberosAuthentication", "only by PAM (UsePAM)", "no", "false"),
    not_yet("RDomain", "Linux has no routing domains of processes, for sshd as well", "none"),
]

OTHER_NAMES = {
    "ChallengeResponseAuthentication": "KbdInteractiveAuthentication",
    "SKeyAuthentication": "KbdInteractiveAuthentication",
    "DSAAuthentication": "PubkeyAuthentication",
    "PubkeyAcceptedKeyTypes": "PubkeyAcceptedAlgorithms",
    "HostbasedAcceptedKeyTypes": "HostbasedAcceptedAlgorithms",
    "HostDSAKey": "HostKey",
    "KeepAlive": "TCPKeepAlive",
}

IN_MATCH = frozenset({
    "acceptenv", "allowagentforwarding", "allowgroups", "allowstreamlocalforwarding",
    "allowtcpforwarding", "allowusers", "authenticationmethods", "authorizedkeyscommand",
    "authorizedkeyscommanduser", "authorizedkeysfile", "authorizedprincipalscommand",
    "authorizedprincipalscommanduser", "authorizedprincipalsfile", "banner",
    "casignaturealgorithms", "channeltimeout", "chrootdirectory", "clientalivecountmax",
    "clientaliveinterval", "commandtimeout", "denygroups", "denyusers", "detachedoutput",
    "disableforwarding", "exposeauthinfo",
    "forcecommand", "gatewayports", "gssapiauthentication", "hostbasedacceptedalgorithms",
    "hostbasedauthentication", "hostbasedusesnamefrompacketonly", "ignorerhosts", "include",
    "ipqos", "kbdinteractiveauthentication", "kerberosauthentication", "loglevel", "logverbose",
    "maxauthtries", "maxkeptsessions", "maxsessions", "pamservicename", "passwordauthentication",
    "permitemptypasswords", "permitlisten", "permitopen", "permitrootlogin", "permittty",
    "permittunnel", "permituserenvironment", "permituserrc", "pubkeyacceptedalgorithms",
    "pubkeyauthentication", "pubkeyauthoptions", "rdomain", "refuseconnection", "rekeylimit",
    "revokedkeys", "sessiontimeout", "setenv", "streamlocalbindmask", "streamlocalbindunlink",
    "subsystem",
    "trustedusercakeys", "unusedconnectiontimeout", "x11displayoffset", "x11forwarding",
    "x11uselocalhost",
})  # fmt: skip
"""What a Match block may set (sshd_config(5), Match)."""

SERVER_KEYWORDS = table(
    [*LISTENER, *LOGIN, *SESSION, *FORWARDS, *WITHOUT_EFFECT, *REFUSED], OTHER_NAMES
)
