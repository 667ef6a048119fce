"""COMPATIBILITY.md is what the tables say, and the tables have all that OpenSSH's manuals have."""

import gzip
import re
from pathlib import Path

import pytest

from qsh.client.options import parse
from qsh.config.client_keywords import CLIENT_KEYWORDS
from qsh.config.keywords import Effect
from qsh.config.server_keywords import SERVER_KEYWORDS
from qsh.errors import QshError
from tests.compatibility import PAGE, keyword_rows, option_rows, page

MAN = Path("/usr/share/man")
NO_KEYWORDS = re.compile(r"[a-z*]")
"""Entries of the manuals that are no keywords (tokens, values, criteria) do not begin so."""
LATER_CLIENT = ["ChannelTimeout", "ObscureKeystrokeTiming", "RefuseConnection", "Tag",
                "VersionAddendum", "WarnWeakCrypto"]  # fmt: skip
LATER_SERVER = ["ChannelTimeout", "UnusedConnectionTimeout", "PerSourcePenalties",
                "PerSourcePenaltyExemptList", "RefuseConnection", "PAMServiceName",
                "SshdSessionPath", "SshdAuthPath"]  # fmt: skip
"""What OpenSSH has got since 9.2, up to 10."""


def manual(name):
    """The source of one of OpenSSH's manuals, as installed here."""
    path = MAN / f"man{name[-1]}" / f"{name}.gz"
    if not path.exists():
        pytest.skip(f"OpenSSH's {name} is not installed here")
    return gzip.decompress(path.read_bytes()).decode()


def manual_keywords(name):
    found = re.findall(r"^\.It Cm ([A-Z]\w+)", manual(name), re.MULTILINE)
    return {word for word in found if not NO_KEYWORDS.match(word)}


def test_the_page_is_what_the_tables_say():
    assert PAGE.read_text("utf-8") == page(), "run python -m tests.compatibility"


@pytest.mark.parametrize(
    ("name", "table", "later"),
    [("ssh_config.5", CLIENT_KEYWORDS, LATER_CLIENT),
     ("sshd_config.5", SERVER_KEYWORDS, LATER_SERVER)],
)  # fmt: skip
def test_every_keyword_of_the_installed_openssh_and_later_ones_is_there(name, table, later):
    wanted = manual_keywords(name)
    assert len(wanted) > 80
    named = {row[0].lower() for row in keyword_rows(table)}
    assert {word.lower() for word in wanted | set(later)} <= named


def test_every_option_of_the_installed_openssh_is_there():
    synopsis, _, description = manual("ssh.1").partition(".Sh DESCRIPTION")
    wanted = set(re.findall(r"^\.It Fl (\w)\b", description, re.MULTILINE))
    assert len(wanted) > 40
    assert wanted <= {row[0] for row in option_rows()}
    flags = re.search(r"^\.Op Fl (\w+)$", synopsis, re.MULTILINE)
    assert flags
    assert set(flags[1]) <= {row[0] for row in option_rows()}


VALUES = {"p": "1", "L": "1:h:2", "R": "1:h:2", "D": "1", "W": "h:1", "o": "Port=1", "e": "none",
          "w": "0", "J": "h", "O": "check", "m": "hmac-sha2-256"}  # fmt: skip


@pytest.mark.parametrize("row", option_rows(), ids=lambda row: row[0])
def test_an_option_is_taken_unless_the_page_says_refused(row):
    letter, effect, _ = row
    outcomes = []
    for value in ([], [VALUES.get(letter, "word")]):
        try:
            parse([f"-{letter}", *value, "host"])
        except QshError as error:
            outcomes.append(str(error))
        else:
            outcomes.append("")
    assert ("" in outcomes) == (effect != "refused"), outcomes


@pytest.mark.parametrize("table", [CLIENT_KEYWORDS, SERVER_KEYWORDS])
def test_whatever_changes_nothing_has_its_reason_there(table):
    for name, effect, note in keyword_rows(table):
        row = table.by_name[name.lower()]
        assert effect != "accepted without effect" or note, name
        assert (row.effect is Effect.WORKS) == (effect == "works")
