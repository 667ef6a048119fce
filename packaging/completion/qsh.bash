# bash completion for qsh. Made by `python -m tests.compatibility` from the tables of the program; do not edit.
# Put it into /usr/share/bash-completion/completions/qsh, or source it.

_qsh_keywords="AFSTokenPassing
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
XAuthLocation"

# Names of hosts: Host lines of the configuration, and what known_hosts has unhashed.
_qsh_hosts() {
    cat ~/.ssh/config ~/.config/qsh/config /etc/ssh/ssh_config /etc/qsh/qsh_config 2>/dev/null |
        awk 'tolower($1) == "host" { for (i = 2; i <= NF; i++) if ($i !~ /[*?!]/) print $i }'
    cat ~/.ssh/known_hosts /etc/ssh/ssh_known_hosts 2>/dev/null |
        awk '$1 !~ /^[|#@]/ { n = split($1, names, ","); for (i = 1; i <= n; i++)
            if (names[i] !~ /[*?!\[]/) print names[i] }'
}

_qsh_values() {
    case $1 in
        B) ls /sys/class/net 2>/dev/null ;;
        b) hostname -I 2>/dev/null ;;
        J) _qsh_hosts ;;
        l) compgen -u ;;
        O) echo check forward cancel exit stop conninfo channels proxy ;;
        o) for keyword in $_qsh_keywords; do echo "$keyword="; done ;;
        Q) echo help cipher cipher-auth compression kex key key-ca-sign key-cert key-plain key-sig mac protocol-version sig ;;
    esac
}

_qsh() {
    local word previous letter index host=
    COMPREPLY=()
    word=${COMP_WORDS[COMP_CWORD]}
    previous=${COMP_WORDS[COMP_CWORD-1]}
    if [[ $previous == -* && $previous != --* ]]; then
        letter=${previous: -1}
        if [[ $letter == [BDEFIJLOPQRSWbceilmopw] ]]; then
            if [[ $letter == [EFISi] ]]; then
                compopt -o filenames 2>/dev/null
                COMPREPLY=($(compgen -f -- "$word"))
            else
                [[ $letter == o ]] && compopt -o nospace 2>/dev/null
                COMPREPLY=($(compgen -W "$(_qsh_values "$letter")" -- "$word"))
            fi
            return
        fi
    fi
    if [[ $word == -* ]]; then
        local all="--bootstrap --demo --doctor --help --json --status --version --attach --detach --kill --list --read-only --session --share" letters="246ACGMNTVXYafgknqstvxyBDEFIJLOPQRSWbceilmopw"
        for ((index = 0; index < ${#letters}; index++)); do all+=" -${letters:index:1}"; done
        COMPREPLY=($(compgen -W "$all" -- "$word"))
        return
    fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        case ${COMP_WORDS[index]} in
            -*[BDEFIJLOPQRSWbceilmopw]) ((index++)) ;;
            -*) ;;
            *) host=${COMP_WORDS[index]} ;;
        esac
    done
    if [[ -n $host ]]; then
        COMPREPLY=($(compgen -c -- "$word"))
    elif [[ $word == *@* ]]; then
        COMPREPLY=($(compgen -P "${word%%@*}@" -W "$(_qsh_hosts)" -- "${word#*@}"))
    else
        COMPREPLY=($(compgen -W "$(_qsh_hosts)" -- "$word"))
    fi
}

complete -F _qsh qsh
