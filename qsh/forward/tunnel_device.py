"""The kernel's tunnel devices: /dev/net/tun of Linux (tun(4), Documentation/networking/tuntap.rst).

Whoever opens one needs the right to: root, or the owner of a device that an administrator has
made (`ip tuntap add … user …`). Only root's size can be set.
"""

import fcntl
import os
import socket
import struct

from qsh.wire.forward_messages import ANY_UNIT, ETHERNET

CLONE = "/dev/net/tun"
# From linux/if_tun.h, linux/if.h and linux/sockios.h.
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI = 1, 2, 0x1000
SIOCSIFMTU = 0x8922
NAME_LENGTH = 16
_REQUEST = struct.Struct("16sH22x")
_MTU_REQUEST = struct.Struct("16si20x")
MAX_UNIT = 10**6


def open_device(mode: int, unit: int) -> tuple[int, str]:
    """A descriptor that gives and takes whole packets (of POINT_TO_POINT: IP; of ETHERNET: frames)
    and never blocks, and the device's name. `unit` may be ANY_UNIT. Raises OSError."""
    kind, flag = ("tap", IFF_TAP) if mode == ETHERNET else ("tun", IFF_TUN)
    name = f"{kind}%d" if unit == ANY_UNIT else f"{kind}{unit}"
    descriptor = os.open(CLONE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        request = _REQUEST.pack(name.encode(), flag | IFF_NO_PI)
        answer = fcntl.ioctl(descriptor, TUNSETIFF, request)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor, answer[:NAME_LENGTH].rstrip(b"\0").decode()


def set_size(name: str, size: int) -> None:
    """Make `size` the device's MTU. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFMTU, _MTU_REQUEST.pack(name.encode(), size))
