"""Descriptors that come with a message (SCM_RIGHTS of unix(7)), for us and not for our programs."""

import socket
from array import array


def receive_with(sock: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """One message of at most `size` bytes, and at most `most` descriptors, which no program that
    is executed later inherits (socket.recv_fds() ignores its flags). Raises OSError."""
    found = array("i")
    room = socket.CMSG_LEN(most * found.itemsize)
    data, control, _, _ = sock.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(content[: len(content) - len(content) % found.itemsize])
    return data, list(found)
