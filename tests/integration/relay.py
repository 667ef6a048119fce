"""A UDP relay between a client and a server on this machine, whose wire can be cut."""

import contextlib
import select
import socket
import threading

LONG_HEADER = 0x80
"""In the first byte of a handshake's packets (RFC 9000 section 17.2)."""


class Relay:
    """Listens on `port` of 127.0.0.1 and passes datagrams of one client on to `target`."""

    def __init__(self, target: int) -> None:
        self._outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._outside.bind(("127.0.0.1", 0))
        self.port: int = self._outside.getsockname()[1]
        self._target = self._next_target = ("127.0.0.1", target)
        self._inside = self._new_inside()
        self._client = ("127.0.0.1", 0)
        self.is_cut = False
        self.up: list[int] = []
        """Sizes of the client's datagrams, in bytes; `down` those of the server's."""
        self.down: list[int] = []
        self.classes: list[int] = []
        """The traffic classes of the server's, without the bits for congestion (RFC 3168)."""
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _new_inside(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        sock.connect(self._target)
        return sock

    def move(self) -> None:
        """From now on the client comes from another port, as behind a NAT that has forgotten."""
        before, self._inside = self._inside, self._new_inside()
        before.close()

    def lead_to(self, target: int) -> None:
        """The next connection meets another server, as on a network that lies about names."""
        self._next_target = ("127.0.0.1", target)

    def _run(self) -> None:
        while not self._is_closed:
            with contextlib.suppress(OSError, ValueError):  # closed by `move` meanwhile, or refused
                for ready in select.select([self._outside, self._inside], [], [], 0.1)[0]:
                    self._pass_on(ready)

    def _pass_on(self, ready: socket.socket) -> None:
        if ready is self._outside:
            data, self._client = ready.recvfrom(65536)
            self.up.append(len(data))
            if self._next_target != self._target and data[0] & LONG_HEADER:
                self._target = self._next_target
                self.move()
            if not self.is_cut:
                self._inside.send(data)
        else:
            data, control, _, _ = ready.recvmsg(65536, 64)
            self.down.append(len(data))
            self.classes += [value[0] & 0xFC for _, kind, value in control if kind == socket.IP_TOS]
            if not self.is_cut:
                self._outside.sendto(data, self._client)

    def close(self) -> None:
        self._is_closed = True
        self._thread.join()
        self._outside.close()
        self._inside.close()
