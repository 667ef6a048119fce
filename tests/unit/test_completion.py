"""Completion in bash, zsh and fish: made from the tables, and what the real shells offer."""

import os
import re
import shutil
import subprocess

import pytest

from qsh.client import options
from tests.completion_files import (
    FILES,
    FOLDER,
    flags,
    keywords,
    letters_with_value,
    render,
)
from tests.pty_process import PtyProcess


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host alpha *.wild beta\n  Port 1\nhost gamma\n")
    (tmp_path / ".ssh/known_hosts").write_text("delta,192.0.2.1 ssh-ed25519 A\n|1|x|y ssh-rsa A\n")
    return tmp_path


def shell(home, *command, stdin=None):
    if not shutil.which(command[0]):
        pytest.skip(f"not installed here: {command[0]}")
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=env, cwd=home, input=stdin, capture_output=True, text=True,
                          timeout=60)  # fmt: skip
    return done.stdout


def bash(home, line):
    words = line.split(" ")
    script = (
        f"source {FOLDER / FILES['bash']}\n"
        f"COMP_WORDS=({' '.join(repr(word) for word in words)})\n"
        f"COMP_CWORD={len(words) - 1}\n_qsh\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    )
    return shell(home, "bash", "--norc", "-c", script).split()


def fish(home, line):
    file = FOLDER / FILES["fish"]
    shown = shell(home, "fish", "--no-config", "-c", f"source {file}; complete -C {line!r}")
    return [row.split("\t")[0] for row in shown.splitlines()]


def zsh(home, line, wanted):
    """Type the line and a tab into a zsh; what it shows once `wanted` is there."""
    if not shutil.which("zsh"):
        pytest.skip("not installed here: zsh")
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    with PtyProcess(["zsh", "-f", "-i"], env, columns=160, rows=400) as terminal:
        terminal.write(f"PS1=; fpath=({FOLDER} $fpath); autoload -U compinit; compinit -u -D\n")
        terminal.write("bindkey '^I' list-choices; LISTMAX=9999; print re''ady\n")
        terminal.expect("^ready")
        terminal.write(f"{line}\t")
        terminal.expect(wanted)
        terminal.read_until(lambda: False, 0.5)  # the list comes in pieces
        return terminal.text.rpartition("ready")[2]


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_what_the_tables_say(name):
    text = (FOLDER / FILES[name]).read_text("utf-8")
    assert text == render(name), "run python -m tests.compatibility"


@pytest.mark.parametrize("complete", [bash, fish])
class TestShells:
    def test_every_option_is_offered(self, home, complete):
        offered = complete(home, "qsh -")
        wanted = {f"-{letter}" for letter in flags() + letters_with_value()}
        wanted |= {f"--{name}" for name in options.LONG_OPTIONS}
        assert wanted <= set(offered)
        assert {word for word in offered if word[:2] != "--"} <= wanted

    def test_every_keyword_is_offered(self, home, complete):
        assert {f"{name}=" for name in keywords()} == set(complete(home, "qsh -o "))
        assert complete(home, "qsh -o StrictH") == ["StrictHostKeyChecking="]

    def test_hosts(self, home, complete):
        assert {"alpha", "beta", "gamma", "delta"} <= set(complete(home, "qsh "))
        assert complete(home, "qsh -v al") == ["alpha"]
        assert complete(home, "qsh -J ga") == ["gamma"]

    def test_values(self, home, complete):
        assert complete(home, "qsh -O ch") == ["check", "channels"] or set(
            complete(home, "qsh -O ch")) == {"check", "channels"}  # fmt: skip
        assert "key-cert" in complete(home, "qsh -Q key")
        assert "lo" in complete(home, "qsh -B l")
        (home / "id_one").touch()
        assert complete(home, "qsh -i id_")[0].endswith("id_one")


def test_zsh_offers_options_keywords_and_hosts(home):
    offered = zsh(home, "qsh -", "--version")
    for letter in flags() + letters_with_value():
        assert re.search(rf"-{letter}\b", offered), (letter, offered)
    zsh(home, "qsh -o StrictH", "StrictHostKeyChecking")
    zsh(home, "qsh -v al", "alpha")


def test_bash_offers_hosts_for_a_user(home):
    assert bash(home, "qsh me@al") == ["me@alpha"]
