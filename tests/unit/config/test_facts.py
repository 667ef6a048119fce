"""What is known of this side."""

import os
import pwd

from qsh.config.facts import connection_tokens, local_facts


def test_local_facts_are_those_of_the_account():
    facts = local_facts()
    account = pwd.getpwuid(os.getuid())
    assert (facts.user, facts.uid, facts.home) == (account.pw_name, os.getuid(), account.pw_dir)
    assert facts.environment is os.environ


def test_every_token_has_a_value():
    tokens = connection_tokens(local_facts(), "Orig", "host", 22, "u", "Alias")
    assert {k: v for k, v in tokens.items() if k in "hnkpr"} == {
        "h": "host", "n": "Orig", "k": "alias", "p": "22", "r": "u",
    }  # fmt: skip
    assert len(tokens["C"]()) == 40
