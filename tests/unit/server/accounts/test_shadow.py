import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.server.accounts import shadow
from qsh.server.accounts.shadow import (
    DAY,
    Age,
    ShadowEntry,
    check_password,
    crypt,
    is_hash,
    parse_entry,
    read_entry,
)

SHA512 = "$6$qshqshqsh$"
VECTOR = (
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O8"
    "17G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
)
"""As `openssl passwd -6 -salt saltstring` has it, for `Hello world!`."""
YESCRYPT = "$y$j9T$qshqshqshqshqshq$"


def entry(**days):
    return ShadowEntry("u", "*", **days)


def test_parse():
    line = "alice:$y$x:19000:1:99999:7:14:20000:\n"
    assert parse_entry(line) == ShadowEntry("alice", "$y$x", 19000, 1, 99999, 7, 14, 20000)
    assert parse_entry("bob:*::::::-1:") == ShadowEntry("bob", "*")
    assert parse_entry("bob:*:x:::::soon:") == ShadowEntry("bob", "*", expires=0)
    assert parse_entry("bob:*:1:2") is None
    assert parse_entry("") is None


@given(st.text())
def test_any_line_gives_an_entry_or_none(line):
    found = parse_entry(line)
    assert found is None or found.name


@pytest.mark.parametrize(
    ("days", "today", "age"),
    [
        ({}, 20000, Age.GOOD),
        ({"expires": 100}, 99, Age.GOOD),
        ({"expires": 100}, 100, Age.ACCOUNT_EXPIRED),
        ({"expires": 0}, 100, Age.ACCOUNT_EXPIRED),
        ({"changed": 0}, 100, Age.CHANGE),
        ({"changed": 90, "most": 10}, 100, Age.GOOD),
        ({"changed": 90, "most": 10}, 101, Age.CHANGE),
        ({"changed": 90, "most": 10, "inactive": 5}, 105, Age.CHANGE),
        ({"changed": 90, "most": 10, "inactive": 5}, 106, Age.PASSWORD_EXPIRED),
        ({"changed": 90, "most": 10, "inactive": 0}, 101, Age.PASSWORD_EXPIRED),
        ({"changed": 200, "most": 10}, 100, Age.GOOD),
        ({"changed": None, "most": 10}, 100, Age.GOOD),
        ({"changed": 0, "expires": 50}, 100, Age.ACCOUNT_EXPIRED),
    ],
)
def test_age(days, today, age):
    assert entry(**days).age(today * DAY + 5.0) is age


def test_warning():
    one = entry(changed=90, most=10, warn=7)
    assert one.days_left(93 * DAY) is None
    assert one.days_left(94 * DAY) == 6
    assert one.days_left(100 * DAY) == 0
    assert one.days_left(101 * DAY) is None
    assert entry(changed=0, most=10, warn=7).days_left(0.0) is None


def test_locked():
    assert ShadowEntry("u", "!$6$x").is_locked
    assert not ShadowEntry("u", "*").is_locked


@pytest.mark.parametrize("stored", ["", "!", "*", "!!", "!$6$saltsalt$hash", "x", "\xe9" * 20])
def test_what_no_password_matches(stored):
    assert not is_hash(stored)


def test_crypt():
    assert crypt("Hello world!", VECTOR) == VECTOR
    assert crypt("hello world!", VECTOR) != VECTOR
    made = crypt("pässword", YESCRYPT)
    assert made is not None
    assert made.startswith(YESCRYPT)
    assert crypt("pässword", made) == made
    for bad in ("", "*", "$no$method$", "x"):
        assert crypt("x", bad) is None
    assert crypt("a\0b", VECTOR) is None
    assert crypt("x" * 512, VECTOR) is None


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shadow"
    lines = ["root:*:1::::::", f"alice:{crypt('secret', SHA512)}:1::::::",
             f"alicia:{crypt('other', YESCRYPT)}:1::::::", "empty::1::::::",
             f"locked:!{crypt('secret', SHA512)}:1::::::"]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_read(file, tmp_path):
    assert read_entry("root", file) == ShadowEntry("root", "*", 1)
    assert read_entry("alic", file) is None
    assert read_entry("root:*", file) is None
    assert read_entry("", file) is None
    assert read_entry("root", str(tmp_path / "none")) is None


def check(file, name, password, *, is_real=True, may_be_empty=False):
    return check_password(
        name, password, is_real=is_real, may_be_empty=may_be_empty, path=file
    )  # fmt: skip


def test_check(file):
    assert check(file, "alice", "secret")
    assert not check(file, "alice", "secreT")
    assert not check(file, "alice", "secret", is_real=False)
    assert not check(file, "alicia", "secret")
    assert not check(file, "locked", "secret")
    assert not check(file, "root", "*")
    assert not check(file, "nobody-of-that-name", "secret")
    assert not check(file, "alice", "")


def test_empty(file):
    assert not check(file, "empty", "")
    assert check(file, "empty", "", may_be_empty=True)
    assert not check(file, "empty", "x", may_be_empty=True)
    assert not check(file, "empty", "", may_be_empty=True, is_real=False)
    assert not check(file, "alice", "", may_be_empty=True)


def test_unknown_users_take_as_long(file):
    """The method that is imitated is that of the file's first password."""

    def seconds(name):
        began = time.process_time()
        for _ in range(5):
            check(file, name, "guess")
        return time.process_time() - began

    known, unknown = seconds("alice"), seconds("nobody-of-that-name")
    assert 0.4 < unknown / known < 2.5


def test_the_setting_that_is_imitated():
    buffer = bytearray(b"a:*:1:\nb:$2b$12$abcdefghijklmnopqrstuvwx:1:\n")
    assert shadow._find(buffer, len(buffer), "z")[1] == "$2b$12$" + "." * 22
    assert crypt("x", "$2b$04$" + "." * 22) is not None
