"""Every error of qsh, as one tree. Each says whose fault it is; programs print it and exit 255.

    QshError
    ├── UsageError            the command line is wrong
    ├── ConfigError           a configuration file is wrong (file and line in the text)
    ├── NetworkError          the peer cannot be reached, or went away
    │   └── NoServerError         there is a machine, but no qshd on it
    ├── HostKeyError          the host is not who it should be, or nobody vouches for it
    ├── LoginError            the login was refused, or no method is left
    ├── IdentityError         a key, certificate or agent cannot be used
    ├── ChannelOpenError      the peer refused a channel (RFC 4254 section 5.1)
    ├── RequestError          the peer refused a request
    └── ProtocolError         the protocol was broken; `code` goes on the wire
        ├── LocalProtocolError    by us: a bug here
        └── RemoteProtocolError   by the peer
            └── DecodeError       the peer sent bytes that are no message

Imports nothing of qsh.
"""

from enum import IntEnum

EXIT_OWN_ERROR = 255
"""Exit status for qsh's own failures, as ssh(1) has it."""


class DisconnectReason(IntEnum):
    """Why a connection ends: RFC 4253 section 11.1; sent as QUIC's application error code."""

    HOST_NOT_ALLOWED_TO_CONNECT = 1
    PROTOCOL_ERROR = 2
    KEY_EXCHANGE_FAILED = 3
    SERVICE_NOT_AVAILABLE = 7
    HOST_KEY_NOT_VERIFIABLE = 9
    CONNECTION_LOST = 10
    BY_APPLICATION = 11
    TOO_MANY_CONNECTIONS = 12
    AUTH_CANCELLED_BY_USER = 13
    NO_MORE_AUTH_METHODS_AVAILABLE = 14
    ILLEGAL_USER_NAME = 15


class OpenFailure(IntEnum):
    """Why a channel was refused: RFC 4254 section 5.1."""

    ADMINISTRATIVELY_PROHIBITED = 1
    CONNECT_FAILED = 2
    UNKNOWN_CHANNEL_TYPE = 3
    RESOURCE_SHORTAGE = 4


class QshError(Exception):
    """The root. Its text is one line for the user: what happened, and what to do."""

    exit_status = EXIT_OWN_ERROR


class UsageError(QshError):
    """The command line is wrong."""


class ConfigError(QshError):
    """A configuration file or `-o` option is wrong; the text names file and line."""


class NetworkError(QshError):
    """The peer cannot be reached, or the connection was lost."""


class NoServerError(NetworkError):
    """No qshd answers, but something else is there: `source` is our address on the way."""

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)
        self.source = source


class HostKeyError(QshError):
    """The host's key is unknown, changed or revoked."""


class LoginError(QshError):
    """The server refused the login, or no authentication method is left."""


class IdentityError(QshError):
    """A key, certificate or agent cannot be used."""


class ChannelOpenError(QshError):
    """The peer refused to open a channel."""

    def __init__(self, reason: int, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RequestError(QshError):
    """The peer answered a request with failure."""


class ProtocolError(QshError):
    """The protocol was broken. `code` is the reason sent to the peer."""

    code = DisconnectReason.PROTOCOL_ERROR


class LocalProtocolError(ProtocolError):
    """We asked for something that the state forbids: a bug on this side."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol: close the connection with `code`."""


class DecodeError(RemoteProtocolError):
    """These bytes are no such message."""
