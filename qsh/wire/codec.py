"""RFC 4251 section 5 data types, and messages declared as records.

    @message(98)
    @record
    class WindowAdjust:
        data_type: UInt32
        count: UInt32

`encode` and `decode` work from the annotations; a class whose fields depend on each other has
its own `write(writer)` and `read(reader)`. A class without `@message` is a *body*: the fields
inside another message (a channel request's own data, say). Decoding is total: any bytes give a
value or DecodeError. May not do I/O.
"""

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Annotated, Any, Self, TypeVar, get_type_hints

from qsh.errors import DecodeError, LocalProtocolError

Byte = Annotated[int, "byte"]
UInt32 = Annotated[int, "uint32"]
UInt64 = Annotated[int, "uint64"]
Rest = Annotated[bytes, "rest"]
"""All bytes up to the end, without a length."""
NameList = tuple[str, ...]
"""US-ASCII names, comma-separated on the wire. A `str` is UTF-8, `bytes` are a string."""

T = TypeVar("T")

_UINT32 = Struct(">I")
_UINT64 = Struct(">Q")
_BOUNDS = {"byte": 1 << 8, "uint32": 1 << 32, "uint64": 1 << 64}


class Reader:
    """Takes fields off the front of `data`; every verb raises DecodeError when it cannot."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise DecodeError("message is too short")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def byte(self) -> int:
        return self._take(1)[0]

    def boolean(self) -> bool:
        return self._take(1) != b"\0"

    def uint32(self) -> int:
        return int(_UINT32.unpack(self._take(4))[0])

    def uint64(self) -> int:
        return int(_UINT64.unpack(self._take(8))[0])

    def string(self) -> bytes:
        return self._take(self.uint32())

    def text(self) -> str:
        try:
            return self.string().decode()
        except UnicodeDecodeError:
            raise DecodeError("text is not UTF-8") from None

    def name_list(self) -> NameList:
        """RFC 4251 section 5: names are not empty, and no name holds a comma."""
        raw = self.string()
        if not raw:
            return ()
        if not raw.isascii():
            raise DecodeError("name-list is not ASCII")
        names = tuple(raw.decode("ascii").split(","))
        if "" in names:
            raise DecodeError("name-list has an empty name")
        return names

    def rest(self) -> bytes:
        return self._take(len(self._data) - self._at)

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def end(self) -> None:
        """Nothing may follow. Messages of a later version carry more in fields of their own."""
        if not self.at_end:
            raise DecodeError("message is too long")


class Writer:
    """The opposite of Reader; each verb returns the writer. Raises LocalProtocolError for a
    value that the type cannot hold."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def _number(self, kind: str, packer: Callable[[int], bytes], value: int) -> Self:
        if not 0 <= value < _BOUNDS[kind]:
            raise LocalProtocolError(f"{value} is no {kind}")
        self._parts.append(packer(value))
        return self

    def byte(self, value: int) -> Self:
        return self._number("byte", lambda v: bytes((v,)), value)

    def boolean(self, value: bool) -> Self:
        self._parts.append(b"\1" if value else b"\0")
        return self

    def uint32(self, value: int) -> Self:
        return self._number("uint32", _UINT32.pack, value)

    def uint64(self, value: int) -> Self:
        return self._number("uint64", _UINT64.pack, value)

    def string(self, value: bytes) -> Self:
        self.uint32(len(value))
        self._parts.append(value)
        return self

    def text(self, value: str) -> Self:
        try:
            return self.string(value.encode())
        except UnicodeEncodeError:
            raise LocalProtocolError("text cannot be written as UTF-8") from None

    def name_list(self, value: Iterable[str]) -> Self:
        names = tuple(value)
        if any(not name or "," in name or not name.isascii() for name in names):
            raise LocalProtocolError(f"{names} is no name-list")
        return self.string(",".join(names).encode("ascii"))

    def rest(self, value: bytes) -> Self:
        self._parts.append(value)
        return self

    def finish(self) -> bytes:
        return b"".join(self._parts)


_VERBS: dict[Any, str] = {
    bool: "boolean",
    bytes: "string",
    str: "text",
    NameList: "name_list",
    Byte: "byte",
    UInt32: "uint32",
    UInt64: "uint64",
    Rest: "rest",
}
_fields_of: dict[type, tuple[tuple[str, str], ...]] = {}


def _fields(cls: type) -> tuple[tuple[str, str], ...]:
    """(name, verb) of each field of a message or body, in the order of the wire."""
    fields = _fields_of.get(cls)
    if fields is None:
        hints = get_type_hints(cls, include_extras=True)
        names: tuple[str, ...] = cls.__match_args__  # type: ignore[attr-defined]
        fields = tuple((name, _VERBS[hints[name]]) for name in names)
        _fields_of[cls] = fields
    return fields


def message(number: int) -> Callable[[type[T]], type[T]]:
    """Give a record its message number (RFC 4250 section 4.1)."""

    def mark(cls: type[T]) -> type[T]:
        cls.number = number  # type: ignore[attr-defined]
        return cls

    return mark


def encode_body(value: Any) -> bytes:
    """The fields of a record, without a number."""
    writer = Writer()
    if hasattr(value, "write"):
        value.write(writer)
    else:
        for name, verb in _fields(type(value)):
            getattr(writer, verb)(getattr(value, name))
    return writer.finish()


def decode_body(cls: type[T], data: bytes) -> T:
    """The record from exactly these bytes. Raises DecodeError."""
    reader = Reader(data)
    read: Callable[[Reader], T] | None = getattr(cls, "read", None)
    value = read(reader) if read else cls(*(getattr(reader, v)() for _, v in _fields(cls)))
    reader.end()
    return value


def encode(value: Any) -> bytes:
    """A message's payload: its number, then its fields."""
    return bytes((value.number,)) + encode_body(value)


class Registry:
    """The messages that may come in one place, by number."""

    def __init__(self, *types: type) -> None:
        self._types: dict[int, type] = {cls.number: cls for cls in types}  # type: ignore[attr-defined]
        assert len(self._types) == len(types), "two messages with one number"

    def __contains__(self, number: int) -> bool:
        return number in self._types

    def decode(self, payload: bytes) -> Any:
        """The message. Raises DecodeError if the payload is empty, unknown here or malformed."""
        if not payload:
            raise DecodeError("empty message")
        cls = self._types.get(payload[0])
        if cls is None:
            raise DecodeError(f"message {payload[0]} is not allowed here")
        return decode_body(cls, payload[1:])
