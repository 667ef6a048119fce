"""Linux's rtnetlink messages (rtnetlink(7)), as far as a client must read them: has anything
changed by which packets might go another way? Pure: bytes in, values out."""

import struct

from qsh.errors import DecodeError
from qsh.record import record

# From <linux/netlink.h> and <linux/rtnetlink.h>.
NLMSG_ERROR = 2
NLMSG_DONE = 3
RTM_NEWLINK, RTM_DELLINK = 16, 17
RTM_NEWADDR, RTM_DELADDR = 20, 21
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
RTM_F_CLONED = 0x200
RTMGRP_LINK = 0x1
RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE = 0x10, 0x40
RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE = 0x100, 0x400
GROUPS = (
    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE
)

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_ROUTE = struct.Struct("=BBBBBBBBI")  # the last is rtm_flags
_CHANGES = frozenset(
    (RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE)
)


@record
class NetlinkMessage:
    """One message: its type, and what follows the header."""

    kind: int
    body: bytes

    @property
    def is_change(self) -> bool:
        """Whether an interface, an address or a route has come, gone or changed. The kernel's own
        copies of routes, made for single destinations, are none."""
        if self.kind in (RTM_NEWROUTE, RTM_DELROUTE) and len(self.body) >= _ROUTE.size:
            return not _ROUTE.unpack_from(self.body)[-1] & RTM_F_CLONED
        return self.kind in _CHANGES


def decode_messages(data: bytes) -> list[NetlinkMessage]:
    """The messages of one datagram (netlink(7)). Raises DecodeError."""
    messages, at = [], 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            raise DecodeError("netlink header is cut short")
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            raise DecodeError("netlink message of an impossible length")
        if kind == NLMSG_DONE:
            break
        messages.append(NetlinkMessage(kind, data[at + _HEADER.size : at + length]))
        at += -(-length // 4) * 4
    return messages
