import os
import stat

from hypothesis import given
from hypothesis import strategies as st

from qsh.server.listener.connection_ids import (
    ServerKeys,
    issue,
    load_keys,
    number_of,
    reset_token,
    stateless_reset,
)

KEYS = ServerKeys.generate()


@given(st.integers(0, 2**64 - 1), st.binary(min_size=8, max_size=8))
def test_number_comes_back(number, entropy):
    one = issue(KEYS, number, entropy)
    assert number_of(KEYS, one.connection_id) == number
    assert one.reset_token == reset_token(KEYS, one.connection_id)


@given(st.binary(max_size=40))
def test_any_bytes_give_a_number_or_none(data):
    assert (number_of(KEYS, data) is None) == (len(data) != 16)


def test_ids_of_one_worker_share_nothing_visible():
    first, second = (issue(KEYS, 7, bytes((n,)) * 8).connection_id for n in (1, 2))
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 8


def test_strangers_ids_name_no_living_worker():
    living = set(range(1000))
    assert not living & {number_of(KEYS, os.urandom(16)) for _ in range(200)}


def test_reset_is_smaller_than_what_it_answers():
    connection_id = issue(KEYS, 1, b"entropy!").connection_id
    packet = stateless_reset(KEYS, connection_id, 1200, os.urandom(32))
    assert packet[0] & 0xC0 == 0x40
    assert packet.endswith(reset_token(KEYS, connection_id))
    assert len(packet) == 43
    assert len(stateless_reset(KEYS, connection_id, 40, os.urandom(32))) == 39
    assert stateless_reset(KEYS, connection_id, 21, os.urandom(32)) == b""


def test_wipe():
    keys = ServerKeys.generate()
    key = keys.reset
    keys.wipe()
    assert not any(key)
    assert not any(keys.connection_id + keys.token)


def test_keys_are_kept(tmp_path):
    path = tmp_path / "keys"
    first = load_keys(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_keys(str(path)) == first


def test_a_file_cut_short_is_replaced(tmp_path):
    path = tmp_path / "keys"
    path.write_bytes(b"short")
    first = load_keys(str(path))
    assert load_keys(str(path)) == first
    assert path.stat().st_size == 96
