"""The packets of a tunnel, numbered, and sent twice where the path loses. Pure.

What is inside a tunnel takes each loss for congestion: one TCP by cubic gets 2 Mbit/s of any path
at 40 ms that loses 2 %. A path that loses without being full has room for a second copy of each
packet, and then loses 0.04 %. Nothing is asked for again and nothing waits: who misses a packet
has its copy two packets later, before three later ones would have it taken for lost (RFC 5681
section 3.2, RFC 9002 section 6.1.1). A full path has no room, and gets none.
"""

from collections import deque

NUMBER_SIZE = 2
"""Bytes before each packet: its number, modulo 65 536."""
NUMBERS = 1 << 16
DISTANCE = 2
"""Packets that leave between one and its copy."""
REMEMBERED = 4096
"""Numbers: a copy comes a few packets later, and a network may put packets out of order."""


class Numbered:
    """Packets on their way out."""

    def __init__(self) -> None:
        self._next = 0
        self._waiting: deque[bytes] = deque()

    def send(self, packets: list[bytes], repeated: int) -> list[bytes]:
        """What is to be sent: each packet behind its number, and the copies whose turn it is.
        What is larger than `repeated` bytes with its number is sent once."""
        out = []
        for packet in packets:
            numbered = self._next.to_bytes(NUMBER_SIZE, "big") + packet
            self._next = (self._next + 1) % NUMBERS
            out.append(numbered)
            is_repeated = len(numbered) <= repeated
            if is_repeated:
                self._waiting.append(numbered)
            if len(self._waiting) > DISTANCE or (self._waiting and not is_repeated):
                out.append(self._waiting.popleft())
        return out

    def rest(self) -> list[bytes]:
        """The copies of the last ones, since none follows."""
        copies = list(self._waiting)
        self._waiting.clear()
        return copies


class Unseen:
    """Packets on their way in."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._order: deque[bytes] = deque()

    def receive(self, datagrams: list[bytes]) -> list[bytes]:
        """The packets among them that have not come before."""
        packets = []
        for datagram in datagrams:
            number = datagram[:NUMBER_SIZE]
            if number in self._seen or len(datagram) <= NUMBER_SIZE:
                continue
            self._seen.add(number)
            self._order.append(number)
            if len(self._order) > REMEMBERED:
                self._seen.discard(self._order.popleft())
            packets.append(datagram[NUMBER_SIZE:])
        return packets
