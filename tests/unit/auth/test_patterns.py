"""Wildcards, lists and networks, as OpenSSH's match.c and addrmatch.c."""

import contextlib
import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.patterns import (
    Match,
    PatternError,
    match_address,
    match_cidr_list,
    match_host_and_address,
    match_hostname,
    match_list,
    match_pattern,
)


@pytest.mark.parametrize(
    ("text", "pattern", "fits"),
    [
        ("", "", True),
        ("", "*", True),
        ("a", "", False),
        ("abc", "a?c", True),
        ("abc", "a*", True),
        ("abc", "*c", True),
        ("abc", "*b", False),
        ("abc", "a**c", True),
        ("abc", "????", False),
        ("a.b.c", "a.*.c", True),
        ("[x]", "[x]", True),
        ("x", "[x]", False),
    ],
)
def test_a_pattern_knows_two_wildcards_only(text, pattern, fits):
    assert match_pattern(text, pattern) is fits


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_patterns_agree_with_the_standard_library(pattern, text):
    assert match_pattern(text, pattern) == bool(re.match(fnmatch.translate(pattern), text))


def test_a_hostile_pattern_takes_no_time():
    assert not match_pattern("a" * 2000, "*a" * 400 + "b")


@pytest.mark.parametrize(
    ("text", "patterns", "says"),
    [
        ("a", "a,b", Match.YES),
        ("b", "a,b", Match.YES),
        ("c", "a,b", Match.NO),
        ("a", "!a,*", Match.NEGATED),
        ("a", "*,!a", Match.NEGATED),
        ("b", "!a", Match.NO),
        ("A", "a", Match.NO),
        ("x", "x" * 1100 + ",x", Match.NO),
    ],
)
def test_a_negated_pattern_wins(text, patterns, says):
    assert match_list(text, patterns) is says


def test_host_names_have_no_case():
    assert match_hostname("WWW.Example.com", "*.EXAMPLE.com") is Match.YES


@pytest.mark.parametrize(
    ("address", "patterns", "says"),
    [
        ("10.1.2.3", "10.0.0.0/8", Match.YES),
        ("11.1.2.3", "10.0.0.0/8", Match.NO),
        ("10.1.2.3", "!10.1.0.0/16,10.0.0.0/8", Match.NEGATED),
        ("10.1.2.3", "10.1.*", Match.YES),
        ("10.1.2.3", "10.1.2.3", Match.YES),
        ("2001:db8::1", "2001:db8::/32", Match.YES),
        ("2001:db8::1", "2001:DB8:0::1", Match.YES),
        ("2001:db8::1", "10.0.0.0/8", Match.NO),
        ("::ffff:10.1.2.3", "10.0.0.0/8", Match.YES),
        ("fe80::1%eth0", "fe80::/10", Match.YES),
        ("10.1.2.3", "0.0.0.0/0", Match.YES),
        ("not an address", "10.0.0.0/8", Match.NO),
        (None, "10.0.0.0/8,!host", Match.NO),
    ],
)
def test_addresses_match_networks_and_wildcards(address, patterns, says):
    assert match_address(address, patterns) is says


@pytest.mark.parametrize("patterns", ["", "a,,b", "!", "10.0.0.1/8", "10.0.0.0/33", "::1/64"])
def test_a_malformed_address_list_is_refused(patterns):
    with pytest.raises(PatternError):
        match_address("10.0.0.1", patterns)


@pytest.mark.parametrize(
    ("host", "address", "patterns", "fits"),
    [
        ("www.example.com", "192.0.2.1", "*.example.com", True),
        ("www.example.com", "192.0.2.1", "!*.example.com,192.0.2.*", False),
        ("www.example.com", "192.0.2.1", "!192.0.2.1,*.example.com", False),
        ("www.example.org", "192.0.2.1", "*.example.com,192.0.2.0/24", True),
        ("www.example.org", "192.0.2.1", "*.example.com", False),
    ],
)
def test_from_takes_names_and_addresses(host, address, patterns, fits):
    assert match_host_and_address(host, address, patterns) is fits


@pytest.mark.parametrize(
    "networks", ["", "10.*", "host", "!10.0.0.0/8", "10.0.0.0/8,", "10.0.0.1/8"]
)
def test_a_certificate_lists_networks_only(networks):
    with pytest.raises(PatternError):
        match_cidr_list(None, networks)


def test_source_address_of_a_certificate():
    assert match_cidr_list("10.9.9.9", "192.0.2.0/24,10.0.0.0/8")
    assert not match_cidr_list("11.0.0.1", "192.0.2.0/24,10.0.0.0/8")


@given(st.text(), st.text())
def test_any_list_gives_an_answer_or_a_pattern_error(address, patterns):
    for ask in (match_address, match_cidr_list):
        with contextlib.suppress(PatternError):
            ask(address, patterns)
    assert match_list(address, patterns) in Match
