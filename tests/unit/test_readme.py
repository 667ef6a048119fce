"""What the README says about the command line is so."""

import re

from qsh.client.options import HELP, parse
from qsh.errors import QshError
from tests.sources import ROOT

TEXT = (ROOT / "README.md").read_text("utf-8")
VALUES = {"p": "1", "L": "1:h:2", "R": "1:h:2", "D": "1", "W": "h:1", "o": "Port=1", "e": "none"}
"""Values that are good for a letter that takes one; any word is for the others."""


def letters(pattern):
    """The letters (-x) in the passage that a regular expression finds."""
    passage = re.search(pattern, TEXT, re.DOTALL)
    assert passage, "the README no longer has this passage"
    return sorted(set(re.findall(r"-([A-Za-z0-9])\b", passage[1])))


def refusal(letter):
    """Why the letter is refused; empty if it is not."""
    for value in ([], [VALUES.get(letter, "word")]):
        try:
            parse([f"-{letter}", *value, "host"])
        except QshError as error:
            reason = str(error)
        else:
            return ""
    return reason


def test_letters_that_work_are_taken_and_in_the_help():
    for letter in letters(r"The letters are ssh's:(.*?); what"):
        assert refusal(letter) == ""
        assert f"-{letter}" in HELP


def test_files_it_names_exist():
    names = re.findall(r"\]\((\w+(?:\.md)?)\)", TEXT)
    assert names
    assert all((ROOT / name).exists() for name in names)
