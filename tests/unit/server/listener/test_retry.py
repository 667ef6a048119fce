from hypothesis import given
from hypothesis import strategies as st

from qsh.server.listener.cid_router import Header, parse_header
from qsh.server.listener.retry import TOKEN_LIFETIME, check_token, mint_token, retry_packet

KEY = b"k" * 32
REMOTE = ("192.0.2.1", 4242)
ODCID, SOURCE = b"o" * 16, b"s" * 16
TOKEN = mint_token(KEY, REMOTE, ODCID, SOURCE, 1000.0, b"n" * 12)


def check(token=TOKEN, remote=REMOTE, destination=SOURCE, now=1001.0, key=KEY):
    return check_token(key, token, remote, destination, now)


def test_token_tells_the_first_id():
    valid = check()
    assert (valid.original_destination, valid.retry_source) == (ODCID, SOURCE)


def test_token_has_the_room_that_the_native_engine_wants():
    assert len(TOKEN) >= 65


def test_token_is_bound():
    assert check(remote=("192.0.2.1", 4243)) is None
    assert check(remote=("192.0.2.2", 4242)) is None
    assert check(destination=b"x" * 16) is None
    assert check(key=b"x" * 32) is None
    assert check(token=TOKEN[:-1]) is None


def test_token_expires():
    assert check(now=1000.0 + TOKEN_LIFETIME) is not None
    assert check(now=1000.1 + TOKEN_LIFETIME) is None
    assert check(now=999.0) is None


@given(st.binary(max_size=100))
def test_any_bytes_are_no_token(data):
    assert check(token=data) is None


def test_packet_of_rfc_9001_appendix_a4():
    header = Header(True, 1, bytes.fromhex("8394c8f03e515708"), b"", 0, 0)
    packet = retry_packet(header, bytes.fromhex("f067a5502a4262b5"), b"token", 0xF)
    assert packet.hex() == (
        "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba"
    )


def test_packet_goes_back_to_the_client():
    header = Header(True, 1, ODCID, b"client", 0, 0)
    answer = parse_header(retry_packet(header, SOURCE, TOKEN, 0))
    assert (answer.destination, answer.source, answer.kind) == (b"client", SOURCE, 3)
