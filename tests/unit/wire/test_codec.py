"""RFC 4251 data types against asyncssh's independent encoder, and totality of every decoder."""

import pytest
from asyncssh.packet import Boolean, Byte, NameList, String, UInt32, UInt64
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError, LocalProtocolError
from qsh.wire import channel_messages, forward_messages, global_messages, userauth_messages
from qsh.wire.codec import Reader, Registry, Writer, decode_body, encode, encode_body

REGISTRIES = [
    channel_messages.CHANNEL,
    global_messages.GLOBAL,
    userauth_messages.TO_SERVER,
    userauth_messages.TO_CLIENT_OTHERWISE,
    *userauth_messages.TO_CLIENT.values(),
]
BODIES = [
    *channel_messages.OPENS.values(),
    *channel_messages.REQUESTS.values(),
    *global_messages.GLOBALS.values(),
    global_messages.HostKeysProof,
    forward_messages.PortChosen,
    *userauth_messages.BODIES.values(),
]


@given(
    st.integers(0, 255),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(),
    st.text(),
    st.lists(st.from_regex(r"[a-z0-9@.-]+", fullmatch=True)),
)
def test_the_writer_agrees_with_asyncssh(byte, boolean, uint32, uint64, string, text, names):
    written = (
        Writer().byte(byte).boolean(boolean).uint32(uint32).uint64(uint64)
        .string(string).text(text).name_list(names).finish()
    )  # fmt: skip
    assert written == b"".join([
        Byte(byte), Boolean(boolean), UInt32(uint32), UInt64(uint64), String(string),
        String(text), NameList([name.encode() for name in names]),
    ])  # fmt: skip
    reader = Reader(written)
    assert (reader.byte(), reader.boolean(), reader.uint32()) == (byte, boolean, uint32)
    assert (reader.uint64(), reader.string(), reader.text()) == (uint64, string, text)
    assert reader.name_list() == tuple(names)
    reader.end()


@pytest.mark.parametrize(
    "verb", ["byte", "boolean", "uint32", "uint64", "string", "text", "name_list"]
)
@given(st.binary(max_size=3))
def test_what_is_cut_short_is_a_decode_error(verb: str, data: bytes) -> None:
    reader = Reader(data)
    try:
        getattr(reader, verb)()
    except DecodeError:
        return
    assert verb in ("byte", "boolean")


@pytest.mark.parametrize(
    ("verb", "data"),
    [
        ("text", b"\0\0\0\1\xff"),
        ("name_list", b"\0\0\0\1\xff"),
        ("name_list", b"\0\0\0\2a,"),
        ("name_list", b"\0\0\0\1,"),
    ],
)
def test_wrong_text(verb: str, data: bytes) -> None:
    with pytest.raises(DecodeError):
        getattr(Reader(data), verb)()


def test_trailing_bytes_are_a_decode_error() -> None:
    with pytest.raises(DecodeError):
        decode_body(channel_messages.BreakRequest, b"\0\0\0\0\0")


@pytest.mark.parametrize(
    ("verb", "value"),
    [
        ("byte", 256), ("uint32", -1), ("uint32", 2**32), ("uint64", 2**64),
        ("text", "\ud800"), ("name_list", ["a,b"]), ("name_list", [""]), ("name_list", ["ä"]),
    ],
)  # fmt: skip
def test_what_a_type_cannot_hold_is_our_own_error(verb: str, value: object) -> None:
    with pytest.raises(LocalProtocolError):
        getattr(Writer(), verb)(value)


@pytest.mark.parametrize("registry", REGISTRIES)
@given(data=st.data())
def test_any_payload_gives_a_message_that_encodes_to_one_that_is_equal(
    registry: Registry, data: st.DataObject
) -> None:
    number = data.draw(st.sampled_from([*registry._types, 0]))
    payload = bytes((number,)) + data.draw(st.binary() | _plausible())
    try:
        message = registry.decode(payload)
    except DecodeError:
        return
    assert registry.decode(encode(message)) == message


@pytest.mark.parametrize("cls", BODIES)
@given(data=st.binary() | st.deferred(lambda: _plausible()))
def test_any_bytes_give_a_body_that_encodes_to_one_that_is_equal(cls: type, data: bytes) -> None:
    try:
        body = decode_body(cls, data)
    except DecodeError:
        return
    assert decode_body(cls, encode_body(body)) == body


def _plausible() -> st.SearchStrategy[bytes]:
    """Fields one after the other, of types that messages are made of."""
    field = st.one_of(
        st.binary(max_size=8).map(lambda b: Writer().string(b).finish()),
        st.integers(0, 5).map(lambda n: Writer().uint32(n).finish()),
        st.booleans().map(lambda b: Writer().boolean(b).finish()),
    )
    return st.lists(field, max_size=9).map(b"".join)


@pytest.mark.parametrize("payload", [b"", b"\0", b"\xfe"])
def test_unknown_and_empty_messages(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        channel_messages.CHANNEL.decode(payload)


@pytest.mark.parametrize(
    "cls",
    [userauth_messages.ExtInfo, userauth_messages.InfoResponse, global_messages.HostKeysProve],
)
def test_counts_are_bounded(cls: type) -> None:
    data = b"\0\0\1\0" + b"\0" * 5000 if cls is not global_messages.HostKeysProve else b"\0" * 5000
    with pytest.raises(DecodeError, match="too many"):
        decode_body(cls, data)
