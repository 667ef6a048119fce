"""The command line: ssh's letters, long options, and what is refused."""

import re
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qsh.client import options
from qsh.client.options import HELP, KEYWORD_OF_LETTER, LINE_OF_LETTER, REFUSED, parse
from qsh.config.specs import Destination
from qsh.errors import ConfigError, UsageError

SSH_LETTERS = "246AaCfGgKkMNnqsTtVvXxYyBbcDEeFIiJLlmOoPpQRSWw"
"""All letters of ssh(1), OpenSSH 10, and -2, which it still takes (sshfs gives it)."""


def lines(*words):
    """[(keyword, value)] in order of precedence."""
    return [(line.keyword, line.arguments) for line in parse([*words]).lines]


def test_host_then_command():
    assert parse(["host", "ls", "-l"]).command == ("ls", "-l")
    assert parse(["u@host"]).destination == Destination("host", "u")


def test_options_may_follow_the_host():
    seen = parse(["host", "-v", "-p", "2222", "cmd", "-p", "3"])
    assert seen.command == ("cmd", "-p", "3")
    assert lines("host", "-v", "-p", "2222") == [("loglevel", ("DEBUG1",)), ("port", ("2222",))]


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["host", "--", "-v"], ("-v",)),
        (["--", "host", "cmd"], ("cmd",)),
        (["--", "host", "-v", "cmd"], ("cmd",)),
        (["host", "--"], ()),
    ],
)
def test_two_dashes_end_the_options(words, command):
    assert parse(words).command == command


@pytest.mark.parametrize("words", [["-p2222"], ["-p", "2222"], ["-vp2222"], ["-vTp", "2222"]])
def test_clusters_and_attached_values(words):
    assert ("port", ("2222",)) in lines(*words, "host")


def test_a_value_may_look_like_an_option():
    assert ("user", ("-v",)) in lines("-l", "-v", "host")


@pytest.mark.parametrize(
    "words", [["-oUser=u"], ["-o", "User=u"], ["-o", "User u"], ["-o", " user = u "]]
)
def test_o_takes_all_spellings(words):
    assert lines(*words, "host") == [("user", ("u",))]


def test_the_first_of_user_and_port_wins_wherever_it_is():
    assert lines("-l", "a", "b@host") == [("user", ("a",)), ("user", ("b",))]
    assert lines("ssh://b@host:33", "-p", "44") == [
        ("user", ("b",)), ("port", ("33",)), ("port", ("44",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "level"),
    [(["-v"], "DEBUG1"), (["-vv"], "DEBUG2"), (["-vvvvv"], "DEBUG3"), (["-q"], "QUIET"),
     (["-v", "-q"], "QUIET"), (["-q", "-v"], "DEBUG1"), ([], None)],
)  # fmt: skip
def test_log_level(words, level):
    assert parse([*words, "host"]).log_level == level


@pytest.mark.parametrize(
    ("words", "value"),
    [(["-t"], "yes"), (["-tt"], "force"), (["-T"], "no"), (["-t", "-T"], "no"),
     (["-T", "-t"], "yes"), (["-ttt"], "force")],
)  # fmt: skip
def test_terminal(words, value):
    assert lines(*words, "host") == [("requesttty", (value,))]


def test_flags_win_over_keywords():
    assert lines("-o", "AddressFamily=inet", "-6", "host")[0] == ("addressfamily", ("inet6",))


def test_files():
    seen = parse(["-E/var/log/x", "-F", "none", "host"])
    assert (seen.log_file, seen.config_file) == ("/var/log/x", "none")


def test_demo_takes_a_command_only():
    assert parse(["--demo", "--", "sh", "-c", "exit 7"]).command == ("sh", "-c", "exit 7")
    assert parse(["--demo", "-v"]).demo
    for words in (["--demo", "host"], ["host", "--demo"], ["host", "--demo", "x"]):
        with pytest.raises(UsageError, match="--demo"):
            parse(words)


def test_questions_need_no_host():
    assert parse(["-V"]).version
    assert parse(["-vV"]).version
    assert parse(["--version"]).version
    assert parse(["--help"]).help


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "no host"), (["-v"], "no host"), (["--"], "no host"),
        (["-Z", "host"], "unknown option -Z"), (["--nope"], "unknown option --nope"),
        (["--demo=1"], "unknown option --demo=1"), (["-p"], "-p needs a value"),
        (["host", "-vo"], "-o needs a value"),
            (["-W", "h:1", "host", "cmd"], "-W runs no command"),
        (["-é"], "unknown option -é"), (["@host"], "no user"), ([""], "no host"),
        (["--", "-host"], "names no host"), (["-"], "names no host"),
        (["ho;st"], "names no host"), (["ssh://h:0"], "bad port"), (["ssh://h/x"], "path"),
    ],
)  # fmt: skip
def test_refusals_say_what_is_wrong(words, text):
    with pytest.raises(UsageError, match=text):
        parse(words)


@pytest.mark.parametrize("value", ["", "Port", "=", '"', "#x"])
def test_an_option_that_is_no_keyword_and_value(value):
    with pytest.raises(ConfigError, match="-o"):
        parse(["-o", value, "host"])


def test_every_letter_of_ssh_is_known_once():
    ours = [*KEYWORD_OF_LETTER, *LINE_OF_LETTER, *options.OTHER_FLAGS, *options.OTHER_WITH_VALUE]
    assert sorted([*ours, *REFUSED]) == sorted(SSH_LETTERS)


def test_help_fits_one_screen():
    rows = HELP.splitlines()
    assert len(rows) <= 23
    assert max(map(len, rows)) <= 80


def test_help_names_what_there_is():
    words = re.sub(r"[,:)(]|\[?=\S*", " ", HELP).split()
    ours = [*KEYWORD_OF_LETTER, *LINE_OF_LETTER, *options.OTHER_FLAGS, *options.OTHER_WITH_VALUE]
    assert {f"-{letter}" for letter in ours} <= set(words)
    assert {f"--{name}" for name in options.LONG_OPTIONS} <= set(words)


@given(st.lists(st.text(max_size=6), max_size=6))
@example(["ssh://%zz@h"])
def test_any_words_give_options_or_one_error(words):
    with suppress(UsageError, ConfigError):
        seen = parse(words)
        assert seen.destination or seen.demo or seen.help or seen.version or seen.query is not None


def test_forwards_become_keywords_in_order():
    words = ["-L", "1:h:2", "-R3", "-D", "4", "-gA", "host"]
    assert lines(*words) == [
        ("gatewayports", ("yes",)), ("forwardagent", ("yes",)), ("localforward", ("1:h:2",)),
        ("remoteforward", ("3",)), ("dynamicforward", ("4",)),
    ]  # fmt: skip


def test_the_last_of_two_letters_about_the_agent_wins():
    assert ("forwardagent", ("no",)) in lines("-Aa", "host")


def test_stdio_implies_what_options_may_override():
    options = parse(["-W", "h:1", "-o", "ClearAllForwardings=no", "host"])
    assert options.stdio == "h:1"
    keywords = [line.keyword for line in options.lines]
    assert keywords == ["clearallforwardings", "sessiontype", "requesttty",
                        "exitonforwardfailure", "clearallforwardings"]  # fmt: skip


def test_a_subsystem_in_the_background():
    assert lines("-fs", "host", "sftp") == [
        ("forkafterauthentication", ("yes",)), ("sessiontype", ("subsystem",)),
    ]  # fmt: skip


def test_what_only_prints():
    assert parse(["-Q", "key"]).query == "key"
    assert parse(["-Qkey"]).destination is None
    assert parse(["-Gy", "host"]).prints_settings
    assert parse(["-y", "host"]).to_syslog
    with pytest.raises(UsageError, match="no host"):
        parse(["-G"])


@pytest.mark.parametrize("letter", ["-f", "-G"])
def test_the_private_server_is_no_place_for(letter):
    with pytest.raises(UsageError, match="--demo takes neither"):
        parse(["--demo", letter])
