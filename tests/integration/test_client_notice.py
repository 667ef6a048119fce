"""Nothing is heard: told on the last row of the user's screen, which is then as it was."""

import re
import shutil
import time

import pytest

from tests.integration.test_promise_terminal import PLAIN_SHELL

pytestmark = pytest.mark.one_pair

NOTICE = r"qsh: nothing heard for \d+ s; ~\. leaves"
COLOURS = (r"printf '\033[38;5;208;48;5;17;4mx\033[1;7m日本語\033[0m\033[44m\033[K\033[m\n"
           r"\033]8;;http://a.example/\033\\link\033]8;;\033\\ e\314\201 \033(0lqk\033(B\n'")


@pytest.fixture
def shell(far, tmux):
    """A plain shell far away, on a screen of our own."""
    environment = far.environment | {"TERM": "tmux-256color", "LC_ALL": "C.UTF-8"}
    tmux.start(far.command("-t", "host", PLAIN_SHELL), environment)
    tmux.wait_for(r"^remote\$")
    return tmux


def run(shell, line, until):
    shell.type(line)
    shell.press("Enter")
    shell.wait_for(until)


def settled(shell):
    """The screen, once it does not change any more."""
    before, now = None, shell.painted
    while now != before:
        time.sleep(0.4)
        before, now = now, shell.painted
    return now


def borrows_and_gives_back(shell, relay, key="C-a"):
    """The notice comes while the wire is cut, on the last row, and leaves no trace."""
    before = settled(shell)
    relay.is_cut = True
    shell.press(key)  # which changes nothing far away
    screen = shell.wait_for(NOTICE, 25)
    during = shell.painted
    assert "nothing heard" in screen.split("\n")[23]
    assert screen.split("\n")[:23] == rows_of(before)[:23]
    assert during.splitlines()[-1] == before.splitlines()[-1]  # the cursor
    time.sleep(1.2)
    assert shell.screen.count("nothing heard") == 1
    relay.is_cut = False
    shell.press(key)
    wait_until_gone(shell)
    assert settled(shell) == before


def rows_of(painted):
    """Its characters alone."""
    plain = re.sub(r"\x1b\[[0-9;:]*m|\x1b\]8;[^\x1b]*\x1b\\|[\x0e\x0f]", "", painted)
    return plain.split("\n")


def wait_until_gone(shell):
    end = time.monotonic() + 25
    while "nothing heard" in shell.screen:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_below_a_shell_that_has_not_filled_the_screen(shell, relay):
    run(shell, "echo $((40+2))", "^42$")
    borrows_and_gives_back(shell, relay)


def test_over_the_prompt_at_the_bottom(shell, relay):
    run(shell, "seq 100", "^100$")
    borrows_and_gives_back(shell, relay)


def test_over_colours_wide_characters_and_links(shell, relay):
    run(shell, "clear; seq 21", "^21$")
    run(shell, COLOURS + r"; printf '\033[1;35mhere:\033[32m '; cat", "here:")
    borrows_and_gives_back(shell, relay, "BSpace")


@pytest.mark.skipif(shutil.which("vim") is None, reason="needs vim")
def test_over_an_editor_and_what_it_hides(shell, relay):
    run(shell, "seq 200; LC_ALL=C.UTF-8 vim -n -u NONE -c 'set ruler showmode'", r"^~")
    shell.press("i")
    shell.wait_for("INSERT")
    shell.type("日本語 ")
    shell.press("Escape")
    shell.wait_for("日本語")
    borrows_and_gives_back(shell, relay, "Escape")
    run(shell, ":q!", r"^remote\$")
    borrows_and_gives_back(shell, relay)


def test_another_size_meanwhile(shell, relay):
    """Then the notice is taken away all the same, and the next one is told in the title."""
    run(shell, "echo $((40+2))", "^42$")
    relay.is_cut = True
    shell.press("C-a")
    shell.wait_for(NOTICE, 25)
    shell.resize(80, 20)
    wait_until_gone(shell)
    relay.is_cut = False
    run(shell, "echo $((50+2))", "^52$")
    assert "^remote" not in shell.screen


def test_words_of_our_own_are_known(shell, relay):
    shell.press("Enter", "~", "?")
    shell.wait_for("Escapes are recognized")
    shell.press("Enter")
    borrows_and_gives_back(shell, relay)


def test_leaving_while_it_is_shown(shell, relay):
    run(shell, "seq 100", "^100$")
    relay.is_cut = True
    shell.press("Enter")
    shell.wait_for(NOTICE, 25)
    shell.type("~.")
    screen = shell.wait_for(r"^\[ended 255\]", 25)
    assert "nothing heard" not in screen
    assert "remote$" in screen
