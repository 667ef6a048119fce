"""PAM's rules for the account of a login: the stacks auth, account, password and session.

One handle for the connection, from the first question to the end of the last session, since what
modules keep for later lies in it and cannot move between processes. Lives in the monitor. A
question of a module is asked by `Dialogue.ask`, which returns within the module's own call when
the answer is there: PAM's course is then the program's course, nothing runs beside it, and no
lock or second stack is needed.

Where sshd's habits show (fake passwords, which failures count), they are auth-pam.c's.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from qsh.log import logger
from qsh.server import sandbox
from qsh.server.accounts import pam
from qsh.server.accounts.accounts import Account
from qsh.server.accounts.pam import Answers, Flag, Handle, Item, Message, PamError, Status, Style
from qsh.server.accounts.rules import Dialogue, Proof, RulesError, Standing, Surroundings
from qsh.wire.userauth_messages import InfoRequest, Prompt

_log = logger("pam")

TERMINAL = "ssh"
"""PAM_TTY. A name that PAM's modules know (pam_systemd, pam_access) and that no device has."""
NOBODY = "NOUSER"
"""Stands in for names that no account can have: modules hand names to programs and files."""
MAX_NAME = 64
MAX_NOTES = 8192
"""Characters for the user; modules that say more are cut short."""
JUNK = "\b\n\r\x7fINCORRECT"
"""What fake passwords are made of: nobody can type it into passwd(1)."""
NOT_PASSED_ON = "SSH_AUTH_INFO"
"""Prefix of variables that sshd's modules exchange with each other."""


@dataclass(slots=True)
class PamRules:
    """PAM's rules for `user`, who comes from `address`. `is_real` is `may_use_password`: without
    it PAM is asked all the same, with answers that are wrong."""

    service: str
    user: str
    address: str
    is_real: bool
    may_be_empty: bool
    dialogue: Dialogue
    is_known: bool = True
    """Whether there is such an account."""
    method_detail: str = "pam"
    _handle: Handle | None = None
    _notes: list[str] = field(default_factory=list)
    _standing: Standing | None = None
    _has_authenticated: bool = False
    _is_open: bool = False
    _is_abandoned: bool = False

    # ------------------------------------------------------------ who comes

    def check_password(self, password: str, new_password: str | None) -> Proof:
        """Every hidden prompt gets the password, as with sshd."""
        usable = password if pam.c_answer(password) is not None else ""
        answer = usable if self.is_real else fake(password)

        def conversation(messages: list[Message]) -> Answers:
            self._note(messages)
            if any(message.style is Style.PROMPT_ECHO_ON for message in messages):
                return None
            return [answer if message.is_prompt else None for message in messages]

        if not self._authenticate(conversation) or usable != password:
            return Proof.BAD
        if password == "" and not self.may_be_empty:
            return Proof.BAD
        if self.check_account() is not Standing.CHANGE:
            return Proof.GOOD
        if new_password is None:
            return Proof.EXPIRED
        return self._change(_changing(password, new_password, self._note))

    def converse(self) -> Proof:
        """The modules ask, `dialogue` answers; an expired password is changed in the same way."""
        self._is_abandoned = False
        if not self._authenticate(self._ask_user) or self._is_abandoned:
            return Proof.BAD
        if self.check_account() is not Standing.CHANGE:
            return Proof.GOOD
        changed = self._change(self._ask_user)
        return Proof.GOOD if changed is Proof.GOOD else Proof.BAD

    def _authenticate(self, conversation: pam.Conversation) -> bool:
        try:
            handle = self._open_handle()
            handle.conversation = conversation
            flags = Flag.NONE if self.may_be_empty else Flag.DISALLOW_NULL_AUTHTOK
            status = handle.authenticate(flags)
            is_same = handle.user == self._pam_user
        except PamError as error:
            _log.error("%s", error)
            return False
        if status != Status.SUCCESS:
            illegal = "" if self.is_known else "illegal user "
            _log.error("PAM: %s for %s%s from %s",
                       handle.reason(status), illegal, self.user, self.address)  # fmt: skip
        elif not is_same:
            _log.error("PAM: a module changed the user %s to another", self.user)
        elif self.is_real:
            self._has_authenticated = True
            return True
        return False

    def _ask_user(self, messages: list[Message]) -> Answers:
        self._note(messages)
        prompts = tuple(
            Prompt(m.text, m.style is Style.PROMPT_ECHO_ON) for m in messages if m.is_prompt
        )
        if not prompts:
            return [None] * len(messages)
        if self._is_abandoned:
            return None
        given = self.dialogue.ask(InfoRequest("", self.take_notes(), prompts))
        if given is None or len(given) != len(prompts):
            self._is_abandoned = True
            return None
        left = iter(given if self.is_real else map(fake, given))
        return [next(left) if message.is_prompt else None for message in messages]

    # ------------------------------------------------------------ may they come

    def check_account(self) -> Standing:
        """Asked of PAM once."""
        if self._standing is None:
            self._standing = self._ask_standing()
        return self._standing

    def _ask_standing(self) -> Standing:
        try:
            handle = self._open_handle()
        except PamError as error:
            _log.error("%s", error)
            return Standing.DENIED
        handle.conversation = self._listen
        status = handle.check_account(Flag.NONE)
        if status == Status.NEW_AUTHTOK_REQD:
            return Standing.CHANGE
        if status == Status.SUCCESS and handle.user == self._pam_user:
            return Standing.GOOD
        _log.info("PAM: account of %s from %s: %s", self.user, self.address,
                  handle.reason(status))  # fmt: skip
        return Standing.DENIED

    def _change(self, conversation: pam.Conversation) -> Proof:
        handle = self._open_handle()
        handle.conversation = conversation
        status = handle.change_expired_password()
        if status != Status.SUCCESS:
            _log.info("PAM: password of %s from %s not changed: %s", self.user, self.address,
                      handle.reason(status))  # fmt: skip
            return Proof.EXPIRED
        self._standing = None
        return Proof.EXPIRED if self.check_account() is Standing.CHANGE else Proof.GOOD

    # ------------------------------------------------------------ the session

    def open_session(self, account: Account) -> Surroundings:
        """Credentials, then the session stack. Groups come first, because modules add to them.
        Raises RulesError."""
        try:
            handle = self._open_handle()
            if self._is_open:
                return Surroundings()
            handle.conversation = self._listen
            with sandbox.with_groups_of(account):
                status = handle.set_credentials(Flag.ESTABLISH_CRED)
                groups = tuple(os.getgroups()) if sandbox.is_root() else None
            if status != Status.SUCCESS and self._has_authenticated:
                raise RulesError(f"PAM: pam_setcred(): {handle.reason(status)}")
            status = handle.open_session()
            if status != Status.SUCCESS:
                raise RulesError(f"PAM: pam_open_session(): {handle.reason(status)}")
            self._is_open = True
            variables = handle.environment()
        except PamError as error:
            raise RulesError(str(error)) from None
        kept = {k: v for k, v in variables.items() if not k.startswith(NOT_PASSED_ON)}
        return Surroundings(groups, kept)

    def close(self) -> None:
        """Take back what `open_session` gave, and end PAM."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        handle.conversation = self._listen
        if self._is_open:
            self._is_open = False
            status = handle.close_session()
            if status != Status.SUCCESS:
                _log.error("PAM: pam_close_session(): %s", handle.reason(status))
            handle.set_credentials(Flag.DELETE_CRED)
        handle.end()

    # ------------------------------------------------------------ inside

    def take_notes(self) -> str:
        notes = "\n".join(self._notes)[:MAX_NOTES]
        self._notes.clear()
        return notes

    def _note(self, messages: list[Message]) -> None:
        said = sum(map(len, self._notes))
        for message in messages:
            if not message.is_prompt and said < MAX_NOTES:
                self._notes.append(message.text)
                said += len(message.text)

    def _listen(self, messages: list[Message]) -> Answers:
        self._note(messages)
        return pam.no_answers(messages)

    @property
    def _pam_user(self) -> str:
        return self.user if self.is_known or is_harmless(self.user) else NOBODY

    def _open_handle(self) -> Handle:
        """Raises PamError."""
        if self._handle is None:
            handle = Handle(self.service, self._pam_user, self.dialogue.pause)
            handle.set_item(Item.RHOST, self.address)
            handle.set_item(Item.TTY, TERMINAL)
            self._handle = handle
        return self._handle


def is_harmless(name: str) -> bool:
    """Whether a name that no account has may be shown to modules."""
    return (
        name.isascii() and len(name) <= MAX_NAME and name[:1].isalnum()
        and all(c.isalnum() or c in "_.@$-\\" for c in name)
    )  # fmt: skip


def fake(answer: str) -> str:
    """A wrong answer of the same length, so that checking it takes the same time."""
    length = min(len(answer.encode("utf-8", "surrogateescape")), pam.MAX_ANSWER - 1)
    return (JUNK * (length // len(JUNK) + 1))[:length]


def _changing(
    old: str, new: str, note: Callable[[list[Message]], None]
) -> pam.Conversation:
    """The conversation of pam_chauthtok(3) with both passwords at hand. Which one a prompt wants
    only its text tells; modules speak English here, since qshd sets no language of messages."""
    asked = 0

    def conversation(messages: list[Message]) -> Answers:
        nonlocal asked
        note(messages)
        answers: list[str | None] = []
        for message in messages:
            if not message.is_prompt:
                answers.append(None)
                continue
            asked += 1
            text = message.text.lower()
            says_old = any(word in text for word in ("current", "old"))
            wants_old = "new" not in text and (says_old or asked == 1)
            answers.append(old if wants_old else new)
        return answers

    return conversation
