"""Programs that use forwards steadily and say whether nothing was lost: run in namespaces.

    python -m tests.integration.steady echo tcp|udp ADDRESS PORT     an echo server
    python -m tests.integration.steady stream PORT SECONDS [SOCKS-TARGET-HOST SOCKS-TARGET-PORT]
    python -m tests.integration.steady datagrams PORT SECONDS [EVERY]
"""

import contextlib
import hashlib
import os
import socket
import struct
import sys
import threading
import time

LOCALHOST = "127.0.0.1"
PIECE = 2000
EVERY = 0.02
LINGER = 1.0
"""Seconds of silence after which nothing is on its way any more."""


def echo(kind, address, port):
    if kind == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((address, int(port)))
            while True:
                data, sender = sock.recvfrom(65535)
                sock.sendto(data, sender)
    with socket.create_server((address, int(port))) as server:
        while True:
            sock, _ = server.accept()
            threading.Thread(target=_echo, args=[sock], daemon=True).start()


def _echo(sock):
    with sock:
        while data := sock.recv(65536):
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)


def stream(port, seconds, *target):
    """A connection that carries something all the time; prints `exact` if all came back."""
    with socket.create_connection((LOCALHOST, int(port))) as sock:
        if target:
            sock.sendall(b"\5\1\0" + b"\5\1\0\1" + socket.inet_aton(target[0])
                         + int(target[1]).to_bytes(2, "big"))  # fmt: skip
            assert _exactly(sock, 12)[:4] == b"\5\0\5\0"
        sent, got = hashlib.sha256(), hashlib.sha256()
        sender = threading.Thread(target=_send, args=[sock, float(seconds), sent], daemon=True)
        sender.start()
        while data := sock.recv(65536):
            got.update(data)
        sender.join()
    print("exact" if sent.digest() == got.digest() else "wrong", flush=True)


def _send(sock, seconds, sent):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = os.urandom(PIECE)
        sent.update(data)
        sock.sendall(data)
        time.sleep(EVERY)
    sock.shutdown(socket.SHUT_WR)


def _exactly(sock, count):
    data = b""
    while len(data) < count:
        data += sock.recv(count - len(data))
    return data


def datagrams(port, seconds, every=EVERY):
    """A flow as of a call; prints how many were sent, how many came back, how many of those out of
    order, and, while it sent, the longest silence and the time since the last, in seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((LOCALHOST, int(port)))
        open_flow(sock)
        sock.settimeout(0.001)
        begin = last = time.monotonic()
        sent, seen, late, newest, gap, every = 0, 0, 0, -1, 0.0, float(every)
        while (now := time.monotonic()) < begin + float(seconds):
            if now >= begin + sent * every:
                sock.send(struct.pack("!I", sent) + bytes(160))
                sent += 1
            try:
                (number,) = struct.unpack("!I", sock.recv(2000)[:4])
            except (TimeoutError, ConnectionRefusedError):
                continue
            gap, last = max(gap, now - last), now
            seen, late, newest = seen + 1, late + (number < newest), max(newest, number)
        since = time.monotonic() - last
        sock.settimeout(LINGER)
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            while True:  # what is on its way is not lost
                (number,) = struct.unpack("!I", sock.recv(2000)[:4])
                seen, late, newest = seen + 1, late + (number < newest), max(newest, number)
    print(sent, seen, late, f"{gap:.2f} {since:.2f}", flush=True)


def open_flow(sock):
    """Until there is an answer, and nothing is on its way: what opens a flow goes by a stream."""
    sock.settimeout(0.2)
    while True:
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            sock.send(b"open")
            sock.recv(2000)
            break
    sock.settimeout(LINGER)
    with contextlib.suppress(TimeoutError, ConnectionRefusedError):
        while sock.recv(2000):
            pass


if __name__ == "__main__":
    {"echo": echo, "stream": stream, "datagrams": datagrams}[sys.argv[1]](*sys.argv[2:])
