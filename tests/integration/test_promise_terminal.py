"""A shell in a terminal: what a user sees and types, in a tmux pane or on a bare pty."""

import os
import re
import signal

import pytest

from tests.integration.harness import missing_programs, process_is_gone
from tests.pty_process import PtyProcess

PLAIN_SHELL = "TERM=dumb PS1='remote$ ' exec bash --norc --noprofile"
"""A shell whose prompt is known, whatever the account's start-up files do."""


@pytest.fixture
def shell(qsh):
    """A remote shell on a pty of 80x24, at its prompt."""
    command = qsh.command("-t", "host", PLAIN_SHELL)
    with PtyProcess(command, qsh.environment) as terminal:
        terminal.expect(r"remote\$ $")
        yield terminal


def test_without_a_command_there_is_a_login_shell(qsh, tmux):
    tmux.start(qsh.command("host"), qsh.environment)
    tmux.wait_for(r"[$#%>] *$")
    tmux.type("echo he''llo; echo login:$-:$0")
    tmux.press("Enter")
    screen = tmux.wait_for("^hello$")
    assert re.search(r"^login:\w*i\w*:-", screen, re.MULTILINE)
    tmux.type("exit 3")
    tmux.press("Enter")
    tmux.wait_for(r"\[ended 3\]")


@pytest.mark.one_pair
def test_a_full_screen_editor_works(qsh, tmux, tmp_path):
    if missing_programs("vi"):
        pytest.skip("not installed here: vi")
    editor = f"cd {tmp_path} && LC_ALL=C.UTF-8 vi -u NONE text"
    tmux.start(qsh.command("-t", "host", editor), qsh.environment)
    tmux.wait_for("^~$")
    tmux.type("ifirst line")
    tmux.press("Enter")
    tmux.type("zweite Zeile: äöü €")
    tmux.press("Escape")
    tmux.wait_for("^zweite Zeile: äöü €$")
    tmux.type(":wq")
    tmux.press("Enter")
    tmux.wait_for(r"\[ended 0\]")
    assert (tmp_path / "text").read_text("utf-8") == "first line\nzweite Zeile: äöü €\n"


@pytest.mark.one_pair
def test_the_remote_terminal_follows_the_size_of_the_local_one(qsh, tmux):
    tmux.start(qsh.command("-t", "host", PLAIN_SHELL), qsh.environment)
    tmux.wait_for(r"remote\$")
    tmux.type("stty size")
    tmux.press("Enter")
    tmux.wait_for("^24 80$")
    tmux.resize(100, 30)
    tmux.type("stty size")
    tmux.press("Enter")
    tmux.wait_for("^30 100$")


@pytest.mark.one_pair
def test_a_full_screen_monitor_follows_the_size_too(qsh, tmux):
    if missing_programs("top"):
        pytest.skip("not installed here: top")
    tmux.start(qsh.command("-t", "host", "top -d 0.5"), qsh.environment)
    tmux.wait_for("PID.*COMMAND")
    tmux.resize(120, 40)
    tmux.wait_for("PID.*COMMAND")
    tmux.press("q")
    tmux.wait_for(r"\[ended 0\]")


def test_control_c_interrupts_the_remote_program_not_the_client(shell):
    shell.write("sleep 60\n")
    shell.read_until(lambda: False, 0.3)
    shell.write("\x03")
    shell.expect(r"\^C\s+remote\$ $")
    shell.write("echo $?\n")
    shell.expect("^130$")


@pytest.mark.one_pair
def test_control_z_and_control_backslash_go_to_the_remote_side_too(shell):
    shell.write("sleep 60\n")
    shell.read_until(lambda: False, 0.3)
    shell.write("\x1a")
    shell.expect("(?i)stopped")
    shell.write("kill %1; wait; echo d''one\n")
    shell.expect("^done$")


@pytest.mark.one_pair
def test_the_terminals_name_and_modes_are_passed(qsh):
    command = qsh.command("-t", "host", "echo $TERM; stty -a")
    with PtyProcess(command, {**qsh.environment, "TERM": "vt220"}, columns=97) as terminal:
        assert terminal.wait() == 0
    assert terminal.text.startswith("vt220\n")
    assert "columns 97" in terminal.text
    assert re.search(r"\berase = \^\?", terminal.text)


def test_tilde_dot_ends_the_client_and_leaves_the_terminal_as_it_was(shell):
    assert not shell.line_mode()
    shell.write("\n~.")
    assert shell.wait() == 255


@pytest.mark.one_pair
@pytest.mark.parametrize("how", ["exit", "tilde", signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_terminal_is_put_back_at_any_end(shell, how):
    kept = os.open(shell.terminal_name, os.O_RDWR | os.O_NOCTTY)  # its modes outlive the client
    try:
        assert not shell.line_mode()
        if isinstance(how, signal.Signals):
            os.kill(shell.pid, how)
        else:
            shell.write({"exit": "exit\n", "tilde": "\n~."}[how])
        shell.wait()
        assert shell.line_mode()
    finally:
        os.close(kept)


@pytest.mark.one_pair
def test_two_tildes_send_one(shell):
    shell.write("\n~~\x7fecho tilde\n")
    shell.expect("^tilde$")


@pytest.mark.one_pair
def test_tilde_question_mark_lists_the_escapes(shell):
    shell.write("\n~?")
    assert "~." in shell.expect(r"~\..*").group()
    shell.write("echo still here\n")
    shell.expect("^still here$")


@pytest.mark.one_pair
def test_e_none_leaves_tildes_alone(qsh):
    command = qsh.command("-e", "none", "-t", "host", "stty -echo; read a; echo got $a")
    with PtyProcess(command, qsh.environment) as terminal:
        terminal.read_until(lambda: not terminal.line_mode(), 10)
        terminal.read_until(lambda: False, 0.5)
        terminal.write("~.\n")
        terminal.expect(r"got ~\.")


@pytest.mark.one_pair
def test_a_large_output_in_a_terminal_is_complete(qsh):
    command = qsh.command("-tt", "host", "seq 1 50000")
    with PtyProcess(command, qsh.environment) as terminal:
        assert terminal.wait(60) == 0
        terminal.read_until(lambda: not terminal.read(0.1), 1)
    numbers = terminal.text.partition("qsh: ")[0].split()
    assert numbers == [str(n) for n in range(1, 50001)]


@pytest.mark.one_pair
def test_hanging_up_ends_the_remote_shell(qsh, tmp_path):
    mark = tmp_path / "pid"
    command = qsh.command("-t", "host", f"echo $$ >{mark}; exec sleep 60")
    terminal = PtyProcess(command, qsh.environment)
    terminal.read_until(lambda: mark.exists() and mark.read_text().strip(), 15)
    terminal.close()
    assert process_is_gone(int(mark.read_text()))
