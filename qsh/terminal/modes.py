"""Terminal modes on the wire: RFC 4254 section 8, IUTF8 of RFC 8160.

Modes are a mapping from the RFC's names (`ECHO`, `VINTR`, `TTY_OP_ISPEED`) to numbers: 0 or 1 for
flags, a character code for V* (255: disabled), bits per second for speeds. Turning them into and
out of a terminal's attributes (termios.tcgetattr's list) takes the constants from outside, since
this package does no I/O: pass the `termios` module.
"""

from collections.abc import Mapping
from typing import Any

from qsh.errors import DecodeError

# From the specification.
END = 0
DISABLED = 255
"""A control character that is switched off."""
_FIRST_UNDEFINED = 160
"""From here on the form of arguments is unknown, so parsing stops (section 8)."""

_CHARACTERS = (
    "VINTR", "VQUIT", "VERASE", "VKILL", "VEOF", "VEOL", "VEOL2", "VSTART", "VSTOP", "VSUSP",
    "VDSUSP", "VREPRINT", "VWERASE", "VLNEXT", "VFLUSH", "VSWTCH", "VSTATUS", "VDISCARD",
)
_INPUT = (
    "IGNPAR", "PARMRK", "INPCK", "ISTRIP", "INLCR", "IGNCR", "ICRNL", "IUCLC", "IXON", "IXANY",
    "IXOFF", "IMAXBEL", "IUTF8",
)
_LOCAL = (
    "ISIG", "ICANON", "XCASE", "ECHO", "ECHOE", "ECHOK", "ECHONL", "NOFLSH", "TOSTOP", "IEXTEN",
    "ECHOCTL", "ECHOKE", "PENDIN",
)
_OUTPUT = ("OPOST", "OLCUC", "ONLCR", "OCRNL", "ONOCR", "ONLRET")
_CONTROL = ("CS7", "CS8", "PARENB", "PARODD")
_SPEEDS = ("TTY_OP_ISPEED", "TTY_OP_OSPEED")

OPCODES: dict[str, int] = {
    name: first + place
    for first, names in (
        (1, _CHARACTERS), (30, _INPUT), (50, _LOCAL), (70, _OUTPUT), (90, _CONTROL), (128, _SPEEDS),
    )
    for place, name in enumerate(names)
}
"""The RFC's name of a mode to its opcode."""
_NAMES = {opcode: name for name, opcode in OPCODES.items()}

_FIELDS: dict[str, int] = {
    name: field
    for field, names in enumerate((_INPUT, _OUTPUT, _CONTROL, _LOCAL))
    for name in names
}
"""Flag to its place in the list of termios.tcgetattr: iflag, oflag, cflag, lflag."""
_ISPEED, _OSPEED, _CC = 4, 5, 6
_OTHER_NAMES = {"VSWTCH": "VSWTC"}
"""What Linux calls them, where it differs from the RFC."""

_BAUD = (
    0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 7200, 9600, 14400, 19200,
    28800, 38400, 57600, 76800, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000,
    1500000, 2000000, 2500000, 3000000, 3500000, 4000000,
)
_DEFAULT_BAUD = 9600


def encode_modes(modes: Mapping[str, int]) -> bytes:
    """The bytes for a pty-req. Names that the RFC has not are left out."""
    encoded = bytearray()
    for name, value in modes.items():
        opcode = OPCODES.get(name)
        if opcode is not None and 0 <= value < 1 << 32:
            encoded.append(opcode)
            encoded += value.to_bytes(4, "big")
    encoded.append(END)
    return bytes(encoded)


def decode_modes(data: bytes) -> dict[str, int]:
    """The modes in a pty-req; the last of a double one counts.

    Opcodes below 160 that have no name are passed over; others end the list, as does the end of
    the bytes between modes. Raises DecodeError for an argument that is cut off.
    """
    modes: dict[str, int] = {}
    for at in range(0, len(data), 5):
        opcode = data[at]
        if opcode == END or opcode >= _FIRST_UNDEFINED:
            break
        argument = data[at + 1 : at + 5]
        if len(argument) < 4:
            raise DecodeError("terminal mode is cut off")
        name = _NAMES.get(opcode)
        if name is not None:
            modes[name] = int.from_bytes(argument, "big")
    return modes


def modes_of(attributes: list[Any], termios: Any) -> dict[str, int]:
    """The modes of a terminal from `termios.tcgetattr`'s list."""
    modes = {}
    for place, name in ((_OSPEED, "TTY_OP_OSPEED"), (_ISPEED, "TTY_OP_ISPEED")):
        modes[name] = _baud_of(attributes[place], termios)
    for name in _CHARACTERS:
        index = _constant(termios, name)
        if index is not None and index < len(attributes[_CC]):
            modes[name] = _code_of(attributes[_CC][index])
    for name, field in _FIELDS.items():
        flag = _constant(termios, name)
        if flag is not None:
            modes[name] = int(attributes[field] & flag == flag)
    return modes


def apply_modes(modes: Mapping[str, int], attributes: list[Any], termios: Any) -> list[Any]:
    """A copy of `termios.tcgetattr`'s list with the modes set; what this system has not is left
    out, and a speed that it cannot have becomes 9600."""
    changed = [*attributes[:_CC], list(attributes[_CC])]
    # CS7 and CS8 share bits: the larger one must have the last word.
    for name, value in sorted(modes.items(), key=lambda item: OPCODES.get(item[0], 0)):
        constant = _constant(termios, name)
        if name == "TTY_OP_ISPEED":
            changed[_ISPEED] = _speed_of(value, termios)
        elif name == "TTY_OP_OSPEED":
            changed[_OSPEED] = _speed_of(value, termios)
        elif constant is None:
            continue
        elif name in _FIELDS:
            _set_flag(changed, name, constant, bool(value))
        elif constant < len(changed[_CC]):
            _set_character(changed[_CC], constant, value & 0xFF)
    return changed


def _set_flag(attributes: list[Any], name: str, flag: int, on: bool) -> None:
    field = _FIELDS[name]
    if name in ("CS7", "CS8"):
        if on:
            size = 0x30  # CSIZE: CS5 to CS8 are its two bits
            attributes[field] = attributes[field] & ~size | flag
        return
    if on:
        attributes[field] |= flag
    else:
        attributes[field] &= ~flag


def _set_character(characters: list[Any], index: int, code: int) -> None:
    # tcgetattr gives VMIN and VTIME as numbers and all others as one byte.
    disabled = 0 if code == DISABLED else code
    characters[index] = bytes((disabled,))


def _code_of(value: Any) -> int:
    code = value if isinstance(value, int) else value[0]
    return code or DISABLED


def _constant(termios: Any, name: str) -> int | None:
    """The system's constant for one of the RFC's names, or None."""
    if name not in OPCODES:
        return None
    value = getattr(termios, name, None)
    if value is None and name in _OTHER_NAMES:
        value = getattr(termios, _OTHER_NAMES[name], None)
    if value is None and name == "IUTF8":
        value = _IUTF8_ON_LINUX if hasattr(termios, "VSWTC") else None
    return None if value is None else int(value)


_IUTF8_ON_LINUX = 0x4000
"""<asm-generic/termbits.h>; Python's termios names it only since 3.13 or so."""


def _baud_of(speed: int, termios: Any) -> int:
    for baud in _BAUD:
        if getattr(termios, f"B{baud}", None) == speed:
            return baud
    return _DEFAULT_BAUD


def _speed_of(baud: int, termios: Any) -> int:
    known = getattr(termios, f"B{baud}", None) if baud in _BAUD else None
    return int(termios.B9600 if known is None else known)
