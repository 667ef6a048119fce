"""How many columns a character takes on a terminal (UAX #11 and what terminals make of it)."""

from unicodedata import category, east_asian_width

_WIDE = "WF"
_WITHOUT = ("Mn", "Me")
_DISPUTED = ((0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0xFE00, 0xFE0F),
             (0x1F1E6, 0x1F1FF), (0x1F3FB, 0x1F3FF), (0xE0000, 0xE0FFF),
             (0x1160, 0x11FF), (0xAD, 0xAD), (0xFFFD, 0xFFFD))  # fmt: skip
"""Joiners, directions, variations, flags, skin tones, jamo, the soft hyphen, and what stands for
bytes that are no UTF-8: terminals do not agree about these."""


def width(character: str) -> int | None:
    """Columns: 0, 1 or 2. None where terminals do not agree."""
    number = ord(character)
    if any(first <= number <= last for first, last in _DISPUTED):
        return None
    if east_asian_width(character) in _WIDE:
        return 2
    kind = category(character)
    if kind in _WITHOUT:
        return 0
    return None if kind in ("Cf", "Mc", "Cn", "Cs") else 1
