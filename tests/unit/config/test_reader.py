"""Files, Include, blocks and precedence, as both kinds of file share them."""

import os

import pytest

from qsh.config.client import load_client
from qsh.config.facts import LocalFacts
from qsh.config.lines import parse_option
from qsh.config.reader import MAX_INCLUDE_DEPTH, ConfigFile
from qsh.errors import ConfigError

FACTS = LocalFacts("me", 1000, "/home/me", "box.example.net", {"SHELL": "/bin/sh"})


@pytest.fixture
def load(tmp_path):
    """Settings from a text in a file `config`; `more` are files beside it by name."""

    def load(text, *options, host="host", **more):
        for name, content in {"config": text, **more}.items():
            (tmp_path / name).write_text(content)
        file = ConfigFile(str(tmp_path / "config"), str(tmp_path), required=True)
        return load_client(host, list(map(parse_option, options)), facts=FACTS, files=[file])

    return load


def test_the_first_value_wins(load):
    settings = load("Port 1\nPort 2\nHost host\n Port 3", "User=a", "User b")
    assert (settings.port, settings.user) == (1, "a")


def test_options_come_before_files(load):
    assert load("Port 1", "Port=2").port == 2


def test_lists_add_up(load):
    settings = load("SendEnv B\nIdentityFile /b\nSendEnv C", "SendEnv=A", "IdentityFile=/a")
    assert settings.send_env == ("A", "B", "C")
    assert settings.identity_files == ("/a", "/b")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("\nNonsense 1", "line 2: unknown keyword Nonsense"),
        ("Port x", "line 1: Port: bad port 'x'"),
        ("Port 1 2", "line 1: Port: unexpected '2'"),
        ("Port", "line 1: Port has no value"),
        ("BatchMode maybe", "line 1: BatchMode: 'maybe' is neither"),
        ("Host other\nPort x", "line 2: Port: bad port"),
        ("Host other\nNonsense 1", "line 2: unknown keyword"),
        ("HostbasedAuthentication maybe", "line 1: HostbasedAuthentication: 'maybe' is"),
        ("GSSAPIAuthentication yes", "line 1: GSSAPIAuthentication is not supported"),
    ],
)
def test_errors_name_file_and_line(load, tmp_path, text, error):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert str(caught.value).startswith(f"{tmp_path}/config {error}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["Nonsense=1", "Port=x", "Host=x", "Match=all", "ProxyJump=x y"])
def test_errors_name_the_option(load, option):
    with pytest.raises(ConfigError, match=f"^-o {option}: "):
        load("", option)


@pytest.mark.parametrize(
    "text", ["ProxyJump none", "ForwardAgent no", "Host other\nGSSAPIKeyExchange yes",
             "Ciphers x", "MACs a,b", "Compression yes", "Protocol 2", "AddKeysToAgent yes"]
)  # fmt: skip
def test_what_asks_for_nothing_that_is_missing_passes(load, text):
    load(text)


def test_ignore_unknown_covers_unknown_and_not_yet(load):
    load("IgnoreUnknown Nonsense,GSSAPI*\nNonsense 1 2 3\nGSSAPIKeyExchange yes")
    with pytest.raises(ConfigError, match="line 1"):
        load("Nonsense 1\nIgnoreUnknown Nonsense")


def test_what_distributions_ship_passes_in_the_system_file_only(tmp_path):
    path = tmp_path / "ssh_config"
    path.write_text("Host *\n SendEnv LANG LC_*\n HashKnownHosts yes\n GSSAPIAuthentication yes\n")
    file = ConfigFile(str(path), str(tmp_path), is_system=True)
    assert load_client("h", facts=FACTS, files=[file]).hash_known_hosts


def test_include_in_order_by_glob_and_within_its_block(load):
    settings = load(
        "Include *.conf\nUser late\nHost other\nInclude never\nHost *\nPort 9",
        **{"b.conf": "User b\nPort 2", "a.conf": "User a\nHost none\n", "never": "Tag t"},
    )
    assert (settings.user, settings.port, settings.tag) == ("a", 2, "")


def test_a_block_in_an_included_file_ends_with_it(load):
    assert load("Include x\nUser u", x="Host other\nPort 1").user == "u"


def test_no_block_applies_in_what_a_block_that_does_not_apply_includes(load):
    assert load("Host other\nInclude x", x="Host *\nPort 1").port == 22
    with pytest.raises(ConfigError, match="x line 1: unknown Match criterion"):
        load("Host other\nInclude x", x="Match nonsense")


def test_include_expands_variables_and_tokens(load, tmp_path):
    load("Include ~nobody/none ${SHELL}.none %h.conf")
    assert load("Include %h.conf", **{"host.conf": "Port 5"}).port == 5
    with pytest.raises(ConfigError, match="line 1: Include: the environment has no NOT_SET"):
        load("Include ${NOT_SET}")


def test_include_has_an_end(load):
    with pytest.raises(ConfigError, match=f"deeper than {MAX_INCLUDE_DEPTH}"):
        load("Include config")


def test_a_missing_file_counts_only_if_required(tmp_path):
    missing = str(tmp_path / "none")
    assert load_client("h", facts=FACTS, files=[ConfigFile(missing, "/")]).port == 22
    with pytest.raises(ConfigError, match=f"cannot read {missing}: No such file"):
        load_client("h", facts=FACTS, files=[ConfigFile(missing, "/", required=True)])


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="Is a directory"):
        load_client("h", facts=FACTS, files=[ConfigFile(str(tmp_path), "/")])


def test_bytes_that_are_no_text_are_kept(load, tmp_path):
    (tmp_path / "config").write_bytes(b"SetEnv A=\xff\n")
    file = ConfigFile(str(tmp_path / "config"), "/")
    settings = load_client("h", facts=FACTS, files=[file])
    assert os.fsencode(settings.set_env[0][1]) == b"\xff"


def test_a_users_file_that_others_can_write_is_refused(tmp_path):
    path = tmp_path / "config"
    path.write_text("Port 1")
    file = ConfigFile(str(path), "/", private=True)
    path.chmod(0o644)
    assert load_client("h", facts=FACTS, files=[file]).port == 1
    path.chmod(0o664)
    with pytest.raises(ConfigError, match="written by others"):
        load_client("h", facts=FACTS, files=[file])
