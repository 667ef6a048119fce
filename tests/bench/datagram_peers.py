"""Who sends and who counts datagrams, each a process of its own: one datagram per system call, as
applications do it.

    python -m tests.bench.datagram_peers send PORT RATE SECONDS SIZE
    python -m tests.bench.datagram_peers count PATIENCE SIZE
        prints its port, `ready` at a datagram of another size, and in the end the count
"""

import contextlib
import socket
import sys
import time

LOCALHOST = "127.0.0.1"
TURN = 0.001
"""Seconds between two bursts of the sender: a rate of 50 000 is 50 at a time."""
BUFFER = 4 << 20


def send(port: int, rate: int, seconds: float, size: int) -> None:
    """Send at an even pace; print how many were sent."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect((LOCALHOST, port))
        begin, sent, data = time.monotonic(), 0, bytes(size)
        while (passed := time.monotonic() - begin) < seconds:
            for _ in range(sent, int(passed * rate)):
                sock.send(data)
            sent = max(sent, int(passed * rate))
            time.sleep(TURN)
    print(sent, flush=True)


def count(patience: float, size: int) -> None:
    """Count datagrams of that size until none has come for so long, after the first."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.bind((LOCALHOST, 0))
        print(sock.getsockname()[1], flush=True)
        buffer, received = bytearray(2048), 0
        while sock.recv_into(buffer) == size:
            pass
        print("ready", flush=True)
        with contextlib.suppress(TimeoutError):
            while True:
                if sock.recv_into(buffer) == size:
                    received += 1
                    sock.settimeout(patience)
    print(received, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
    else:
        count(float(sys.argv[2]), int(sys.argv[3]))
