"""CanonicalizeHostname: which name a host gets, and what is read again."""

import pytest

from qsh.config.canonical import NameRule, canonical_host, read_rules, system_resolver
from qsh.config.client import load_client
from qsh.config.facts import LocalFacts
from qsh.config.reader import ConfigFile
from qsh.errors import ConfigError

FACTS = LocalFacts("u", 1000, "/home/u", "here.example.org", {})
DNS = {"web.a.example": "web.a.example", "web.b.example": "web.b.example",
       "alias.b.example": "web.b.example", "b.sub.b.example": "b.sub.b.example",
       "lone": "web.b.example"}  # fmt: skip


def resolve(name, family):
    return DNS.get(name)


@pytest.fixture
def load(tmp_path):
    def read(text, host, **more):
        path = tmp_path / "config"
        path.write_text(text)
        files = [ConfigFile(str(path), str(tmp_path))]
        return load_client(host, facts=FACTS, files=files, resolve=resolve, **more)

    return read


ON = "CanonicalizeHostname yes\nCanonicalDomains a.example b.example\n"


@pytest.mark.parametrize(
    ("text", "host", "name"),
    [
        (ON, "web", "web.a.example"),
        (ON, "b.sub", "b.sub.b.example"),
        (ON + "CanonicalizeMaxDots 0\n", "b.sub", "b.sub"),
        (ON, "nowhere", "nowhere"),
        (ON, "web.", "web."),
        (ON, "192.0.2.1", "192.0.2.1"),
        (ON, "alias", "alias.b.example"),
        (ON + "CanonicalizePermittedCNAMEs alias.*:*.b.example\n", "alias", "web.b.example"),
        (ON + "CanonicalizePermittedCNAMEs alias.*:*.c.example\n", "alias", "alias.b.example"),
        (ON + "ProxyCommand nc %h %p\n", "web", "web"),
        (ON.replace("yes", "always") + "ProxyCommand nc %h %p\n", "web", "web.a.example"),
        ("CanonicalDomains a.example\n", "web", "web"),
        ("CanonicalizePermittedCNAMEs lone:web.*\n", "lone", "web.b.example"),
        (ON + "HostName alias\n", "other", "alias.b.example"),
    ],
)
def test_names(load, text, host, name):
    assert load(text, host).hostname == name


def test_the_files_are_read_again_with_the_full_name(load):
    text = ON + (
        "Host web\n  User first\nHost web.a.example\n  Port 77\n  User second\n"
        "Match canonical\n  Tag seen\nMatch host *.a.example\n  LocalForward 1 h:2\n"
        "Host *\n  IdentityFile /one\n  SendEnv X\n  LocalForward 3 h:4\n"
    )
    seen = load(text, "web")
    assert (seen.port, seen.user, seen.tag) == (77, "first", "seen")
    assert (seen.identity_files, seen.send_env) == (("/one",), ("X",))
    assert sorted(spec.listen.port for spec in seen.local_forwards) == [1, 3]
    assert seen.original_host == "web"


def test_a_name_that_must_be_found(load):
    with pytest.raises(ConfigError, match="nowhere is found in none"):
        load(ON + "CanonicalizeFallbackLocal no\n", "nowhere")


def test_rules():
    assert read_rules(("a,*.b:c", "d")) == (NameRule("a,*.b", "c"), NameRule("d", "d"))
    assert read_rules(("NONE",)) == ()
    for word in (":b", "a:", "a:b:c"):
        with pytest.raises(ValueError, match="SOURCES"):
            read_rules((word,))


def test_the_systems_resolver():
    assert system_resolver("localhost", 0)
    assert system_resolver("a..b", 0) is None
    assert canonical_host("h", {}, resolve) == "h"
