"""The state machines of the protocol, as tables. See PROTOCOL.md, which draws them.

Only `step` gives the next state; what is not in a table is forbidden. The tables know no role:
the caller says whose step it is, and so whose fault a forbidden one.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeVar

from qsh.errors import LocalProtocolError, RemoteProtocolError


class Opening(Enum):
    """How far the opening of a channel is: RFC 4254 section 5.1."""

    PROPOSED = auto()
    """We sent ChannelOpen and wait for the answer."""
    OFFERED = auto()
    """The peer sent ChannelOpen; we owe the answer."""
    OPEN = auto()
    REFUSED = auto()


class Answer(Enum):
    """Steps of Opening."""

    CONFIRM = auto()
    REFUSE = auto()


OPENING: Mapping[Opening, Mapping[Answer, Opening]] = {
    Opening.PROPOSED: {Answer.CONFIRM: Opening.OPEN, Answer.REFUSE: Opening.REFUSED},
    Opening.OFFERED: {Answer.CONFIRM: Opening.OPEN, Answer.REFUSE: Opening.REFUSED},
    Opening.OPEN: {},
    Opening.REFUSED: {},
}


class Half(Enum):
    """One direction of a channel: RFC 4254 section 5.3."""

    FLOWING = auto()
    ENDED = auto()
    """EOF was sent: no more data, but requests may follow."""
    CLOSED = auto()
    """FIN or RESET_STREAM was sent: nothing follows."""


class Move(Enum):
    """Steps of a Half."""

    DATA = auto()
    MESSAGE = auto()
    EOF = auto()
    CLOSE = auto()


HALF: Mapping[Half, Mapping[Move, Half]] = {
    Half.FLOWING: {
        Move.DATA: Half.FLOWING,
        Move.MESSAGE: Half.FLOWING,
        Move.EOF: Half.ENDED,
        Move.CLOSE: Half.CLOSED,
    },
    Half.ENDED: {Move.MESSAGE: Half.ENDED, Move.CLOSE: Half.CLOSED},
    Half.CLOSED: {},
}


class Login(Enum):
    """The login dialogue, the same on both sides: RFC 4252."""

    IDLE = auto()
    """No request is in progress."""
    REQUESTED = auto()
    """A request waits for the server's answer."""
    QUESTIONED = auto()
    """The server asked (InfoRequest) and waits for the user's responses."""
    DONE = auto()


class Say(Enum):
    """Steps of Login."""

    REQUEST = auto()
    """UserauthRequest, by the client."""
    ANSWER = auto()
    """Failure, PublicKeyOk or PasswordChangeRequest, by the server: the request is over."""
    ASK = auto()
    """InfoRequest, by the server."""
    RESPOND = auto()
    """InfoResponse, by the client."""
    ACCEPT = auto()
    """Success, by the server."""


LOGIN: Mapping[Login, Mapping[Say, Login]] = {
    Login.IDLE: {Say.REQUEST: Login.REQUESTED},
    Login.REQUESTED: {
        Say.ANSWER: Login.IDLE,
        Say.ASK: Login.QUESTIONED,
        Say.ACCEPT: Login.DONE,
    },
    # A new request abandons the questions (RFC 4256 section 3.1).
    Login.QUESTIONED: {Say.RESPOND: Login.REQUESTED, Say.REQUEST: Login.REQUESTED},
    Login.DONE: {},
}

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


def step(table: Mapping[S, Mapping[E, S]], state: S, event: E, *, by_peer: bool) -> S:
    """The state after `event`. Raises RemoteProtocolError or LocalProtocolError if the table
    forbids it, by whose step it is."""
    following = table[state].get(event)
    if following is None:
        error = RemoteProtocolError if by_peer else LocalProtocolError
        raise error(f"{event.name.lower()} is not allowed while {state.name.lower()}")
    return following
