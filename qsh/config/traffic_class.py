"""IPQoS: names and numbers of traffic classes (ssh_config(5); RFC 2474, 2597, 3246, 8622)."""

from qsh.config.values import Kind, Words

NAMES = {
    **{f"af{group}{drop}": (group * 8 + drop * 2) << 2 for group in range(1, 5)
       for drop in range(1, 4)},
    **{f"cs{number}": number << 5 for number in range(8)},
    "ef": 46 << 2, "le": 1 << 2, "va": 44 << 2,
    "lowdelay": 0x10, "throughput": 0x08, "reliability": 0x04,
}  # fmt: skip
"""Name → the byte in the IP header; the last three are of RFC 1349."""
UNSET = "none"


def read_ip_qos(words: Words) -> tuple[int | None, int | None]:
    """One class for all connections, or that of interactive ones and that of others."""
    if not 1 <= len(words) <= 2:
        raise ValueError("one or two traffic classes are wanted")
    return _class(words[0]), _class(words[-1])


def class_name(value: int | None) -> str:
    """The way to write a class."""
    if value is None:
        return UNSET
    return next((name for name, byte in NAMES.items() if byte == value), f"0x{value:02x}")


def class_names(classes: tuple[int | None, int | None]) -> list[str]:
    """The keyword's argument, as `-G` and `-T` print it."""
    return [" ".join(map(class_name, classes))]


def _class(word: str) -> int | None:
    if word.lower() == UNSET:
        return None
    if word.lower() in NAMES:
        return NAMES[word.lower()]
    try:
        value = int(word, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 255:
        raise ValueError(f"{word!r} is no traffic class (ef, af21, cs1, le, a number or none)")
    return value


IP_QOS = Kind(read_ip_qos)
