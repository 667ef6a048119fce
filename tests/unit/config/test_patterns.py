"""Wildcards, lists with `!`, networks."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.config.patterns import (
    check_addresses,
    matches_address,
    matches_any,
    matches_host,
    matches_list,
    matches_wildcard,
)


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_wildcards_agree_with_regular_expressions(pattern, text):
    expression = pattern.replace("*", ".*").replace("?", ".")
    assert matches_wildcard(pattern, text) == bool(re.fullmatch(expression, text))


def test_no_pattern_takes_exponential_time():
    assert not matches_wildcard("*a" * 30 + "b", "a" * 2000)


@pytest.mark.parametrize(
    ("patterns", "text", "expected"),
    [("a,b", "b", True), ("*,!b", "b", False), ("!b,*", "c", True), ("!b", "c", False),
     ("", "a", False), ("a.[bc]", "a.b", False)],
)  # fmt: skip
def test_lists(patterns, text, expected):
    assert matches_list(patterns, text) is expected
    assert matches_any(patterns.split(","), text) is expected


def test_host_names_have_no_case():
    assert matches_host("*.Example.com", "A.EXAMPLE.COM")
    assert not matches_list("*.Example.com", "A.EXAMPLE.COM")


@pytest.mark.parametrize(
    ("patterns", "address", "expected"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8,!10.1.0.0/16", "10.1.2.3", False),
        ("10.0.0.*", "10.0.0.7", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:DB8:0::1", "2001:db8::1", True),
        ("10.0.0.0/8", "2001:db8::1", False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("*", "no address", False),
    ],
)
def test_addresses(patterns, address, expected):
    assert matches_address(patterns, address) is expected


@pytest.mark.parametrize("patterns", ["10.0.0.1/8", "10.0.0.0/33", "x/8", "!x/8", "*,1.2.3.0/2"])
def test_what_is_no_network(patterns):
    with pytest.raises(ValueError, match=r"network|beyond"):
        check_addresses(patterns)
    with pytest.raises(ValueError, match=r"network|beyond"):
        matches_address(patterns, "192.0.2.1")
