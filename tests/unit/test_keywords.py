"""Every keyword of OpenSSH works, is without effect for a reason, or is refused by name."""

from pathlib import Path

import pytest

from qsh.config.client import DERIVED
from qsh.config.client_keywords import CLIENT_KEYWORDS
from qsh.config.client_settings import ClientSettings
from qsh.config.keywords import Effect
from qsh.config.server_keywords import IN_MATCH, SERVER_KEYWORDS
from qsh.config.server_settings import ServerSettings

VECTORS = Path(__file__).parents[1] / "vectors" / "config"
OURS = {
    "bootstrapcommand", "bootstrapports", "commandtimeout", "congestioncontrol",
    "detachedoutput", "engine", "fallbacktossh",
    "maxkeptsessions", "resumetimeout", "sessionticketlifetime",
    "sessiontimeout", "tcpport",
}  # fmt: skip
"""Keywords that OpenSSH does not have."""
TABLES = [
    (CLIENT_KEYWORDS, "ssh_config_keywords.txt", ClientSettings, DERIVED),
    (SERVER_KEYWORDS, "sshd_config_keywords.txt", ServerSettings, ()),
]

NEVER_IN_SETTINGS = {"refuse_connection"}
"""Fields of the client's that end the program instead."""


def openssh_keywords(name):
    lines = (VECTORS / name).read_text().splitlines()
    return {word.lower() for line in lines if line[0] != "#" for word in line.split()}


@pytest.mark.parametrize(("table", "vector", "settings", "derived"), TABLES)
class TestTables:
    def test_each_keyword_of_openssh_is_in_the_table(self, table, vector, settings, derived):
        assert set(table.by_name) - OURS == openssh_keywords(vector)

    def test_each_row_says_what_becomes_of_it(self, table, vector, settings, derived):
        for row in table.rows:
            assert bool(row.reason) == (row.effect is not Effect.WORKS), row.name
            assert not row.harmless or row.effect is Effect.NOT_YET, row.name
            assert not row.field or row.effect is Effect.WORKS, row.name

    def test_each_setting_has_its_keyword_and_each_keyword_its_setting(
        self, table, vector, settings, derived
    ):
        wanted = {row.field for row in table.rows if row.field}
        if settings is ClientSettings:
            wanted -= NEVER_IN_SETTINGS
        assert wanted | set(derived) == set(settings.__match_args__)

    def test_other_names_lead_to_the_same_row(self, table, vector, settings, derived):
        for other, name in table.others.items():
            assert table.by_name[other.lower()] is table.by_name[name.lower()]


def test_what_a_match_block_may_have_are_keywords():
    assert set(SERVER_KEYWORDS.by_name) >= IN_MATCH
