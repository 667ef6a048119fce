"""The binding against the real libpam and a module that behaves as told."""

import os

import pytest

from qsh.server.accounts import pam
from qsh.server.accounts.pam import (
    Flag,
    Handle,
    Item,
    PamError,
    Status,
    Style,
    c_answer,
    choose_service,
)
from tests.pam_system import PASSWORD, STACK

needs_root = pytest.mark.root


def answering(*answers):
    """A conversation that gives these to the prompts, and records all messages."""
    left, heard = list(answers), []

    def conversation(messages):
        heard.extend((message.style, message.text) for message in messages)
        return [left.pop(0) if message.is_prompt else None for message in messages]

    conversation.heard = heard
    return conversation


@pytest.fixture
def handle(service):
    made = []

    def make(*lines, user="root", pause=lambda _: None, answers=()):
        one = Handle(service(*lines).name, user, pause)
        one.conversation = answering(*answers)
        made.append(one)
        return one

    yield make
    for one in made:
        one.end()
        one.end()


def test_answers_are_what_modules_can_take():
    assert c_answer("pässword") == "pässword".encode()
    assert c_answer("a\0b") is None
    assert c_answer("x" * 511) is not None
    assert c_answer("x" * 512) is None


def test_the_service_is_the_first_that_is_there(tmp_path):
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert choose_service("given", folders) == "given"
    assert choose_service(None, folders) == "qshd"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "sshd").touch()
    assert choose_service(None, folders) == "sshd"
    (tmp_path / "b" / "qshd").touch()
    assert choose_service(None, folders) == "qshd"


@needs_root
def test_a_password(handle, account):
    one = handle(*STACK, user=account.name, answers=[PASSWORD])
    assert one.authenticate(Flag.NONE) == Status.SUCCESS
    assert one.conversation.heard == [(Style.PROMPT_ECHO_OFF, "Password: ")]
    assert one.check_account(Flag.NONE) == Status.SUCCESS
    assert one.user == account.name
    one.conversation = answering("wrong")
    assert one.reason(one.authenticate(Flag.NONE)) == "Authentication failure"


@needs_root
def test_rounds_of_questions(handle, module):
    line = f"auth required {module} rounds"
    one = handle(line, answers=["blue", "1", "2"])
    assert one.authenticate(Flag.NONE) == Status.SUCCESS
    assert one.conversation.heard == [
        (Style.TEXT_INFO, "Welcome, stranger."), (Style.PROMPT_ECHO_ON, "Colour: "),
        (Style.PROMPT_ECHO_OFF, "One: "), (Style.ERROR_MSG, "hurry"),
        (Style.PROMPT_ECHO_ON, "Two: "),
    ]  # fmt: skip
    assert handle(line, answers=["red"]).authenticate(Flag.NONE) != Status.SUCCESS
    assert handle(line, answers=["blue", "1", "3"]).authenticate(Flag.NONE) != Status.SUCCESS


@needs_root
@pytest.mark.parametrize(
    "conversation",
    [lambda _: None, lambda _: [], lambda m: ["x"] * (len(m) + 1), lambda _: ["a\0b"],
     lambda _: ["x" * 600], lambda _: 1 / 0, lambda _: [object()]],
)  # fmt: skip
def test_bad_conversations_fail_the_module_and_nothing_else(handle, module, conversation):
    one = handle(f"auth required {module} record /dev/null")
    one.conversation = conversation
    assert one.authenticate(Flag.NONE) == Status.CONV_ERR
    one.conversation = answering("fine")
    assert one.authenticate(Flag.NONE) == Status.SUCCESS


@needs_root
@pytest.mark.parametrize("mode", ["crowd", "style"])
def test_messages_outside_the_interface_are_refused(handle, module, mode):
    one = handle(f"auth required {module} {mode}", answers=["x"] * 200)
    assert one.authenticate(Flag.NONE) == Status.CONV_ERR


@needs_root
def test_a_module_that_never_stops_asking_is_stopped(handle, module, tmp_path):
    one = handle(f"auth required {module} forever {tmp_path / 'count'}", answers=["x"] * 1000)
    assert one.authenticate(Flag.NONE) != Status.SUCCESS
    assert int((tmp_path / "count").read_text()) == pam.MAX_CALLS


@needs_root
def test_delays_are_ours_to_keep(handle, module):
    pauses = []
    one = handle(f"auth required {module} slow", pause=pauses.append)
    assert one.authenticate(Flag.NONE) != Status.SUCCESS
    assert len(pauses) == 1
    assert 0.7 < pauses[0] < 2.3  # PAM varies it by half


@needs_root
def test_items_environment_and_session(handle, module, tmp_path):
    one = handle(f"session required {module} {tmp_path / 'notes'}")
    one.set_item(Item.TTY, "ssh")
    one.set_item(Item.RHOST, "192.0.2.1")
    assert one.environment() == {}
    assert one.open_session() == Status.SUCCESS
    assert one.environment() == {"FROM_PAM": "a value", "SSH_AUTH_INFO_0": "secret"}
    assert one.close_session() == Status.SUCCESS
    assert (tmp_path / "notes").read_text() == "open ssh 192.0.2.1\nclose\n"


@needs_root
def test_memory_does_not_grow(handle, module):
    one = handle(f"auth required {module} record /dev/null")
    one.conversation = lambda _: ["y" * 500]

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    for _ in range(200):
        one.authenticate(Flag.NONE)
    before = resident()
    for _ in range(2000):
        assert one.authenticate(Flag.NONE) == Status.SUCCESS
    assert resident() - before < 3_000_000  # the module itself never frees its answers


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(pam, "LIBRARY", "libpam-that-is-not-there.so")
    with pytest.raises(PamError, match="not installed"):
        Handle("x", "root", lambda _: None)
