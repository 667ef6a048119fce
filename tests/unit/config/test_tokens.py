"""Tokens and variables in values."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.config.tokens import expand_tokens


def test_tokens_and_variables():
    text = expand_tokens("%h/100%%/${A}/%C", "%hC", {"h": "x", "C": lambda: "y"}, {"A": "%h"})
    assert text == "x/100%/%h/y"


def test_without_an_environment_variables_are_text():
    assert expand_tokens("${A}", "", {}) == "${A}"


@pytest.mark.parametrize("text", ["%z", "%", "a%", "%u", "${}", "${A", "${B}"])
def test_refused(text):
    with pytest.raises(ValueError):
        expand_tokens(text, "%h", {"h": "x", "u": "y"}, {"A": "1"})


@given(st.text("%${}hA", max_size=12))
def test_any_text_gives_text_or_value_error(text):
    with suppress(ValueError):
        assert isinstance(expand_tokens(text, "%h", {"h": "x"}, {"A": "1"}), str)
