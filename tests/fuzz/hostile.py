"""Bytes that no honest peer would send, from a seed."""

import random

TYPES_OF_FRAMES = [*range(0x20), 0x30, 0x31, 0x40, 0xAF]
EDGES = [0, 1, 2, 63, 64, 255, 16383, 16384, (1 << 30) - 1, 1 << 30, (1 << 62) - 1]


class Hostile:
    """A source of hostile bytes; equal seeds give equal bytes."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def varint(self) -> bytes:
        """A QUIC integer (RFC 9000 section 16), often at an edge, sometimes over-long."""
        value = (
            self.random.choice(EDGES)
            if self.random.random() < 0.5
            else (self.random.getrandbits(self.random.choice([4, 8, 16, 32, 62])))
        )
        least = 0 if value < 64 else 1 if value < 1 << 14 else 2 if value < 1 << 30 else 3
        size = self.random.randint(least, 3)
        return (value | size << (8 * (1 << size) - 2)).to_bytes(1 << size, "big")

    def frame(self) -> bytes:
        """A frame of some type with fields of chance."""
        fields = [self.varint() for _ in range(self.random.randint(0, 5))]
        tail = self.random.randbytes(self.random.choice([0, 0, 1, 8, 20, 40]))
        return bytes([self.random.choice(TYPES_OF_FRAMES)]) + b"".join(fields) + tail

    def frames(self) -> bytes:
        return b"".join(self.frame() for _ in range(self.random.randint(1, 6)))[:1000]

    def garbage(self) -> bytes:
        """A datagram of noise, or of noise behind a plausible header (RFC 8999)."""
        noise = self.random.randbytes(self.random.choice([0, 1, 7, 21, 40, 300, 1200, 1500]))
        kind = self.random.randrange(3)
        if kind == 0 or not noise:
            return noise
        if kind == 1:
            return bytes([0x40 | noise[0] & 0x3F]) + noise[1:]
        version = self.random.choice([0, 1, 0x6B3343CF, 0x0A0A0A0A, 0xFF00001D])
        lengths = [self.random.choice([0, 8, 16, 20, 21, 255]) for _ in range(2)]
        return (
            bytes([0xC0 | noise[0]]) + version.to_bytes(4, "big")
            + bytes([lengths[0]]) + noise[: lengths[0]]
            + bytes([lengths[1]]) + noise[: lengths[1]] + noise
        )  # fmt: skip

    def mutated(self, data: bytes) -> bytes:
        """`data` with one to four changes: flipped, cut, doubled, replaced, inserted bytes."""
        changed = bytearray(data)
        for _ in range(self.random.randint(1, 4)):
            at = self.random.randrange(len(changed) + 1)
            span = self.random.choice([1, 1, 2, 4, 16, 100])
            match self.random.randrange(5):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << self.random.randrange(8)
                case 1:
                    del changed[at : at + span]
                case 2:
                    changed[at:at] = changed[at : at + span]
                case 3:
                    changed[at : at + span] = self.random.randbytes(span)
                case _:
                    changed[at:at] = self.varint()
        return bytes(changed)
