# fish completion for qsh. Made by `python -m tests.compatibility` from the tables of the program; do not edit.
# Put it into ~/.config/fish/completions or /usr/share/fish/vendor_completions.d.

function __qsh_hosts
    cat ~/.ssh/config ~/.config/qsh/config /etc/ssh/ssh_config /etc/qsh/qsh_config 2>/dev/null |
        awk 'tolower($1) == "host" { for (i = 2; i <= NF; i++) if ($i !~ /[*?!]/) print $i }'
    cat ~/.ssh/known_hosts /etc/ssh/ssh_known_hosts 2>/dev/null |
        awk '$1 !~ /^[|#@]/ { n = split($1, names, ","); for (i = 1; i <= n; i++)
            if (names[i] !~ /[*?!\[]/) print names[i] }'
end

function __qsh_value
    switch $argv[1]
        case host
            __qsh_hosts
        case user
            __fish_complete_users
        case interface
            ls /sys/class/net 2>/dev/null
        case address
            hostname -I 2>/dev/null | string split -n ' '
        case command
            string split ' ' -- 'check forward cancel exit stop conninfo channels proxy'
        case query
            string split ' ' -- 'help cipher cipher-auth compression kex key key-ca-sign key-cert key-plain key-sig mac protocol-version sig'
        case option
            string split \n -- 'AFSTokenPassing
AddKeysToAgent
AddressFamily
BatchMode
BindAddress
BindInterface
BootstrapCommand
BootstrapPorts
CASignatureAlgorithms
CanonicalDomains
CanonicalizeFallbackLocal
CanonicalizeHostname
CanonicalizeMaxDots
CanonicalizePermittedCNAMEs
CertificateFile
ChannelTimeout
CheckHostIP
Cipher
Ciphers
ClearAllForwardings
Compression
CompressionLevel
CongestionControl
ConnectTimeout
ConnectionAttempts
ControlMaster
ControlPath
ControlPersist
DynamicForward
EnableEscapeCommandline
EnableSSHKeysign
Engine
EscapeChar
ExitOnForwardFailure
FallBackToRsh
FallbackToSsh
FingerprintHash
ForkAfterAuthentication
ForwardAgent
ForwardX11
ForwardX11Timeout
ForwardX11Trusted
GSSAPIClientIdentity
GSSAPIDelegateCredentials
GSSAPIKexAlgorithms
GSSAPIRenewalForcesRekey
GSSAPIServerIdentity
GSSAPITrustDNS
GatewayPorts
GlobalKnownHostsFile
GlobalKnownHostsFile2
HashKnownHosts
HostKeyAlgorithms
HostKeyAlias
HostName
HostbasedAcceptedAlgorithms
HostbasedAuthentication
IPQoS
IdentitiesOnly
IdentityAgent
IdentityFile
IgnoreUnknown
KbdInteractiveAuthentication
KbdInteractiveDevices
KerberosAuthentication
KerberosTGTPassing
KexAlgorithms
KnownHostsCommand
LocalCommand
LocalForward
LogLevel
LogVerbose
MACs
NoHostAuthenticationForLocalhost
NumberOfPasswordPrompts
ObscureKeystrokeTiming
PKCS11Provider
PasswordAuthentication
PermitLocalCommand
PermitRemoteOpen
Port
PreferredAuthentications
Protocol
ProxyCommand
ProxyJump
ProxyUseFdpass
PubkeyAcceptedAlgorithms
PubkeyAuthentication
RSAAuthentication
RefuseConnection
RekeyLimit
RemoteCommand
RemoteForward
RequestTTY
RequiredRSASize
ResumeTimeout
RevokedHostKeys
RhostsAuthentication
RhostsRSAAuthentication
SecurityKeyProvider
SendEnv
ServerAliveCountMax
ServerAliveInterval
SessionType
SetEnv
StdinNull
StreamLocalBindMask
StreamLocalBindUnlink
StrictHostKeyChecking
SyslogFacility
TCPKeepAlive
Tag
TcpPort
Tunnel
TunnelDevice
UpdateHostKeys
UsePrivilegedPort
UseRoaming
UseRsh
User
UserKnownHostsFile
UserKnownHostsFile2
VerifyHostKeyDNS
VersionAddendum
VisualHostKey
WarnWeakCrypto
XAuthLocation' | string replace -r '$' =
    end
end

complete -c qsh -f
complete -c qsh -a '(__qsh_hosts)' -d host
complete -c qsh -s 2 -d 'Accepted without effect, as in'
complete -c qsh -s 4 -d 'Use IPv4 addresses only'
complete -c qsh -s 6 -d 'Use IPv6 addresses only'
complete -c qsh -s A -d 'Forward the authentication agent'
complete -c qsh -s C -d 'Accepted without effect'
complete -c qsh -s G -d 'Print the settings that a connection to the host would have, and exit'
complete -c qsh -s M -d 'Be the master of a shared connection'
complete -c qsh -s N -d 'Run no command and ask for no terminal'
complete -c qsh -s T -d 'Never ask for a terminal'
complete -c qsh -s V -d 'Print the version and which QUIC engine runs, and exit'
complete -c qsh -s X -d 'Forward X11'
complete -c qsh -s Y -d 'As'
complete -c qsh -s a -d 'Do not forward the authentication agent'
complete -c qsh -s f -d 'Go into the background once the login stands, and all forwards if'
complete -c qsh -s g -d 'Let other machines connect to forwarded local ports'
complete -c qsh -s k -d 'Do not delegate GSSAPI credentials'
complete -c qsh -s n -d 'Take standard input from'
complete -c qsh -s q -d 'Say nothing but what the remote side says'
complete -c qsh -s s -d 'The command is the name of a subsystem of the server, such as'
complete -c qsh -s t -d 'Ask for a terminal even for a command'
complete -c qsh -s v -d 'Say what is going on'
complete -c qsh -s x -d 'Do not forward X11'
complete -c qsh -s y -d 'Send messages to'
complete -c qsh -s B -x -d 'Send from the address of this network interface' -a '(__qsh_value interface)'
complete -c qsh -s D -x -d 'A SOCKS proxy (4, 4a and 5) on a local port or Unix socket, whose connections'
complete -c qsh -s E -rF -d 'Append messages to'
complete -c qsh -s F -rF -d 'Read this configuration file and no other'
complete -c qsh -s I -rF -d 'A library that reaches tokens with keys'
complete -c qsh -s J -x -d 'Go by way of these hosts, which are named as' -a '(__qsh_value host)'
complete -c qsh -s L -x -d 'Forward a local port or Unix socket to a port or Unix socket on the remote'
complete -c qsh -s O -x -d 'Tell the master of a shared connection, and exit' -a '(__qsh_value command)'
complete -c qsh -s P -x -d 'A word for'
complete -c qsh -s Q -x -d 'List what there is of a kind, and exit' -a '(__qsh_value query)'
complete -c qsh -s R -x -d 'Forward a port or Unix socket of the remote machine to the local side'
complete -c qsh -s S -rF -d 'The socket of a shared connection'
complete -c qsh -s W -x -d 'Connect standard input and output to'
complete -c qsh -s b -x -d 'Send from this address of the local machine' -a '(__qsh_value address)'
complete -c qsh -s c -x -d 'Accepted without effect'
complete -c qsh -s e -x -d 'The escape character of sessions with a terminal (default'
complete -c qsh -s i -rF -d 'A private key to log in with'
complete -c qsh -s l -x -d 'The user to log in as' -a '(__qsh_value user)'
complete -c qsh -s m -x -d 'Accepted without effect'
complete -c qsh -s o -x -d 'Any line of' -a '(__qsh_value option)'
complete -c qsh -s p -x -d 'The servers UDP port (default'
complete -c qsh -s w -x -d 'A tunnel between the devices of these numbers, or'
complete -c qsh -l bootstrap -d 'Where no qshd runs'
complete -c qsh -l demo -d 'Start a private'
complete -c qsh -l doctor -d 'Say what of the way to the host works, without a login'
complete -c qsh -l help -d 'Print a summary and exit'
complete -c qsh -l json -d 'With'
complete -c qsh -l status -d 'Tell how the connections of running clients are'
complete -c qsh -l version -d 'As'
complete -c qsh -l attach -d 'Go on with a session of the accounts on the server, from wherever it was'
complete -c qsh -l detach -d 'Leave the session at once, for others to attach to'
complete -c qsh -l kill -d 'Hang up on a session'
complete -c qsh -l list -d 'List the accounts sessions on the server'
complete -c qsh -l read-only -d 'As'
complete -c qsh -l session -d 'Start a session that has a name'
complete -c qsh -l share -d 'With'
