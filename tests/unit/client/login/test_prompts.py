"""Questions on a real pseudo-terminal, by a real askpass program, and the refusal to ask."""

import asyncio
import os
import pty
import signal
import stat
import subprocess
import sys
import termios

import pytest

from qsh.client.login.askpass import Askpass
from qsh.client.login.prompts import CannotAskError, UserPrompter
from tests.sources import ROOT

NO_TERMINAL = "/nonexistent/tty"


class Person:
    """The other end of a terminal: reads the screen and types."""

    def __init__(self):
        self.controller, self.terminal = pty.openpty()
        self.path = os.ttyname(self.terminal)

    async def wait_for(self, text):
        seen = ""
        os.set_blocking(self.controller, False)
        while text not in seen:
            try:
                seen += os.read(self.controller, 1000).decode()
            except BlockingIOError:
                await asyncio.sleep(0.005)
        return seen

    def type(self, text):
        os.write(self.controller, text.encode())

    def has_echo(self):
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)


@pytest.fixture
def person():
    person = Person()
    yield person
    os.close(person.controller)
    os.close(person.terminal)


def answer(person, typed, **options):
    async def dialogue():
        prompter = UserPrompter(batch=False, environment={}, terminal=person.path)
        asking = asyncio.ensure_future(prompter.ask("Well? ", **options))
        await person.wait_for("Well? ")
        person.type(typed)
        return await asyncio.wait_for(asking, 5), await person.wait_for("\n")

    return asyncio.run(dialogue())


def test_a_secret_is_not_shown(person):
    given, screen = answer(person, "hünter2\n")
    assert given == "hünter2"
    assert "hünter" not in screen
    assert person.has_echo()


def test_other_answers_are_shown(person):
    given, screen = answer(person, "yes\n", echo=True)
    assert given == "yes"
    assert "yes" in screen


def test_end_of_input_is_no_answer(person):
    with pytest.raises(CannotAskError):
        answer(person, "\x04")
    assert person.has_echo()


def test_an_interrupted_question_gives_the_echo_back(person):
    async def dialogue():
        prompter = UserPrompter(batch=False, environment={}, terminal=person.path)
        asking = asyncio.ensure_future(prompter.ask("Secret? "))
        await person.wait_for("Secret? ")
        assert not person.has_echo()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(dialogue())
    assert person.has_echo()


def test_batch_mode_asks_nothing(person):
    prompter = UserPrompter(batch=True, environment={}, terminal=person.path)
    with pytest.raises(CannotAskError, match="BatchMode"):
        asyncio.run(prompter.ask("Well? "))


def test_nobody_to_ask():
    prompter = UserPrompter(batch=False, environment={}, terminal=NO_TERMINAL)
    with pytest.raises(CannotAskError, match="no terminal"):
        asyncio.run(prompter.ask("Well? "))


@pytest.fixture
def askpass(tmp_path):
    def make(script):
        program = tmp_path / "askpass"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(program)

    return make


@pytest.mark.parametrize(
    ("environment", "is_asked"),
    [
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "w"}, True),
        ({}, False),
        ({"SSH_ASKPASS_REQUIRE": "force"}, True),
        ({"SSH_ASKPASS_REQUIRE": "Force", "DISPLAY": ""}, True),
        ({"SSH_ASKPASS_REQUIRE": "prefer"}, False),
        ({"SSH_ASKPASS_REQUIRE": "never", "DISPLAY": ":0"}, False),
    ],
)
def test_askpass_where_there_is_no_terminal(askpass, environment, is_asked):
    environment = {**environment, "SSH_ASKPASS": askpass('echo "<$1>"; echo more')}
    prompter = UserPrompter(batch=False, environment=environment, terminal=NO_TERMINAL)
    if is_asked:
        assert asyncio.run(prompter.ask("Key? ")) == "<Key? >"
    else:
        with pytest.raises(CannotAskError):
            asyncio.run(prompter.ask("Key? "))


@pytest.mark.parametrize("script", ["exit 1", "kill -9 $$"])
def test_askpass_cancelled(askpass, script):
    environment = {"SSH_ASKPASS": askpass(script), "SSH_ASKPASS_REQUIRE": "force"}
    with pytest.raises(CannotAskError):
        asyncio.run(UserPrompter(batch=False, environment=environment).ask("Key? "))


@pytest.mark.parametrize(
    ("environment", "is_asked"),
    [
        ({"DISPLAY": ":0"}, False),
        ({"SSH_ASKPASS_REQUIRE": "prefer", "DISPLAY": ":0"}, True),
        ({"SSH_ASKPASS_REQUIRE": "prefer"}, False),
        ({"SSH_ASKPASS_REQUIRE": "force"}, True),
    ],
)
def test_askpass_before_a_terminal(askpass, environment, is_asked):
    environment = {**environment, "SSH_ASKPASS": askpass("echo asked")}
    goes_first = Askpass(environment).goes_first
    assert goes_first is is_asked


def test_the_usual_program_where_none_is_named(monkeypatch, askpass):
    monkeypatch.setattr("qsh.client.login.askpass.DEFAULT_PROGRAM", askpass("echo usual"))
    prompter = UserPrompter(batch=False, environment={"DISPLAY": ":0"}, terminal=NO_TERMINAL)
    assert asyncio.run(prompter.ask("Key? ")) == "usual"


@pytest.mark.parametrize(
    ("script", "agrees"),
    [('test "$SSH_ASKPASS_PROMPT" = confirm', True), ("echo Yes", True), ("echo no", False),
     ("exit 1", False)],
)  # fmt: skip
def test_a_permission_by_askpass(askpass, script, agrees):
    environment = {"SSH_ASKPASS": askpass(script), "SSH_ASKPASS_REQUIRE": "force"}
    prompter = UserPrompter(batch=False, environment=environment)
    assert asyncio.run(prompter.confirm("May it?")) is agrees


def test_an_answer_is_asked_for_without_the_hint(askpass):
    environment = {"SSH_ASKPASS": askpass('echo "<$SSH_ASKPASS_PROMPT>"'), "DISPLAY": ":0",
                   "SSH_ASKPASS_PROMPT": "confirm"}  # fmt: skip
    prompter = UserPrompter(batch=False, environment=environment, terminal=NO_TERMINAL)
    assert asyncio.run(prompter.ask("Key? ")) == "<>"


def test_askpass_that_is_not_there():
    environment = {"SSH_ASKPASS": "/nonexistent/askpass", "SSH_ASKPASS_REQUIRE": "force"}
    with pytest.raises(CannotAskError, match="cannot run"):
        asyncio.run(UserPrompter(batch=False, environment=environment).ask("Key? "))


def edit(person, typed):
    """An answer typed key by key where the line can be edited."""

    async def dialogue():
        environment = {"TERM": "xterm"}
        prompter = UserPrompter(batch=False, environment=environment, terminal=person.path)
        asking = asyncio.ensure_future(prompter.ask("First\nWell? ", echo=True))
        assert "First\r\n" in await person.wait_for("Well?")
        for keys in typed:
            person.type(keys)
            await asyncio.sleep(0.02)
        return await asyncio.wait_for(asking, 10)

    return asyncio.run(dialogue())


LEFT, DELETE_WORD = "\x1b[D", "\x17"


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        (["yes\r"], "yes"),
        (["yes\n"], "yes"),
        (["ys", LEFT, "e\r"], "yes"),
        (["no way", DELETE_WORD, DELETE_WORD, "yes", "\r"], "yes"),
        (["h\xfcnter\r"], "h\xfcnter"),
    ],
)
def test_an_answer_that_is_shown_can_be_edited(person, typed, given):
    assert edit(person, typed) == given
    assert person.has_echo()


def test_the_end_of_input_is_no_answer_there_either(person):
    with pytest.raises(CannotAskError):
        edit(person, ["\x04"])
    assert person.has_echo()


def test_an_interrupt_from_the_keyboard_is_a_signal_there_too(person):
    async def dialogue():
        environment = {"TERM": "xterm"}
        prompter = UserPrompter(batch=False, environment=environment, terminal=person.path)
        asking = asyncio.ensure_future(prompter.ask("Well? ", echo=True))
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, asking.cancel)
        await person.wait_for("Well?")
        await asyncio.sleep(0.05)
        person.type("\x03")
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asking, 10)

    asyncio.run(dialogue())
    assert person.has_echo()


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_secret_needs_no_editor(term):
    code = (
        "import asyncio, sys; from qsh.client.login.prompts import UserPrompter\n"
        f"p = UserPrompter(batch=False, environment={{'TERM': {term!r}}}, terminal='/no/tty')\n"
        "try: asyncio.run(p.ask('x'))\nexcept Exception: pass\n"
        "print('prompt_toolkit' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "False\n"
