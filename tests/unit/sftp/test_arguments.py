"""The arguments of internal-sftp."""

import pytest

from qsh.errors import UsageError
from qsh.log import Level
from qsh.sftp.arguments import REQUESTS, WRITING, Arguments, parse


def test_nothing_said():
    assert parse([]) == Arguments()


def test_everything_said():
    words = ["-e", "-f", "LOCAL0", "-lVERBOSE", "-d", "/srv/%u", "-u027", "-Prename,remove", "-R"]
    assert parse(words) == Arguments(
        "/srv/%u", True, "LOCAL0", Level.VERBOSE, WRITING, True, 0o027
    )


def test_a_list_of_what_is_allowed_denies_the_rest():
    assert parse(["-p", "open,read,close"]).denied == REQUESTS - {"open", "read", "close"}
    assert parse(["-P", "remove"]).denied == {"remove"}


@pytest.mark.parametrize(
    "words", [["-x"], ["-u", "9"], ["-u", "1777"], ["-l", "LOUD"], ["-P", "fly"], ["word"], ["-h"],
              ["-Q", "nonsense"]],
)  # fmt: skip
def test_what_is_wrong_is_told(words):
    with pytest.raises(UsageError):
        parse(words)
