from pathlib import Path

import pytest

from qsh.errors import ConfigError, UsageError
from qsh.log import Level
from qsh.server.options import HELP, LETTERS, LONG_OPTIONS, level_for, parse_options


def test_all():
    options = parse_options(
        ["-Ddd", "-p2222", "-h", "key", "-o", "PermitTTY no", "-f", "conf", "-E", "log",
         "--ready-fd", "5", "-t"]
    )  # fmt: skip
    assert (options.foreground, options.debug, options.test_only) == (True, 2, True)
    assert options.ready_fd == 5
    assert options.config_file == str(Path("conf").absolute())
    assert options.log_file == str(Path("log").absolute())
    assert [(line.keyword, line.arguments) for line in options.lines] == [
        ("port", ("2222",)), ("hostkey", (str(Path("key").absolute()),)), ("permittty", ("no",)),
    ]  # fmt: skip


def test_letters_that_stand_for_keywords():
    options = parse_options(["-6", "-4", "-g", "1m", "-c", "cert", "-u", "0"])
    assert [(line.keyword, line.arguments) for line in options.lines] == [
        ("addressfamily", ("inet6",)), ("addressfamily", ("inet",)), ("logingracetime", ("1m",)),
        ("hostcertificate", (str(Path("cert").absolute()),)),
    ]  # fmt: skip


def test_printing():
    options = parse_options(["-T", "-C", "user=a", "-C", "addr=b"])
    assert (options.test_only, options.prints_settings) == (True, True)
    assert options.specs == ("user=a", "addr=b")
    assert not parse_options(["-G"]).test_only
    assert parse_options(["-V"]).version


def test_first_wins():
    assert parse_options(["-f", "none", "-f", "/x"]).config_file == "none"


@pytest.mark.parametrize("arguments", [["-Z"], ["--nope"], ["word"], ["-p"], ["--ready-fd", "x"],
                                       ["-C", "user=a"]])
def test_wrong(arguments):
    with pytest.raises(UsageError):
        parse_options(arguments)


def test_bad_keyword_value():
    with pytest.raises(ConfigError):
        parse_options(["-o", "Port"])


def test_level():
    assert level_for(parse_options([]), Level.INFO) is Level.INFO
    assert level_for(parse_options(["-d"]), Level.INFO) is Level.DEBUG1
    assert level_for(parse_options(["-dddd"]), Level.INFO) is Level.DEBUG3
    assert level_for(parse_options(["-q"]), Level.INFO) is Level.QUIET


def test_help_names_all():
    for letter in LETTERS.replace(":", ""):
        assert f"-{letter}" in HELP.replace("[-46DGTVdeqt]", "").replace("-4, -6", "-4 -6")
    assert all(f"--{name.rstrip('=')}" in HELP or name in ("help", "version")
               for name in LONG_OPTIONS)  # fmt: skip
