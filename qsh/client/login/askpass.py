"""SSH_ASKPASS and SSH_ASKPASS_REQUIRE: whether a program asks the user, and how it is run.

The rules are those of ssh(1), ENVIRONMENT: a program may ask where there is a display, always with
`force`, never with `never`; it goes before the terminal with `prefer` or `force`.
"""

import contextlib
from collections.abc import Mapping

from qsh.errors import LoginError

DEFAULT_PROGRAM = "/usr/bin/ssh-askpass"
"""Where Debian and others have one; used where SSH_ASKPASS is not set."""
CONFIRM = "confirm"
"""A yes or no is wanted, by the program's exit status (SSH_ASKPASS_PROMPT)."""


class CannotAskError(LoginError):
    """There is nobody to ask: BatchMode, or no terminal and no askpass program."""


class Askpass:
    """What the environment says of programs that ask."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        require = environment.get("SSH_ASKPASS_REQUIRE", "").lower()
        has_display = any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
        self.may_ask = require == "force" or (has_display and require != "never")
        self.goes_first = self.may_ask and require in ("force", "prefer")
        self._environment = environment
        self._program = environment.get("SSH_ASKPASS", DEFAULT_PROGRAM)

    async def ask(self, prompt: str) -> str:
        """The first line of what the program prints. Raises CannotAskError."""
        status, output = await self._run(prompt)
        if status != 0:
            raise CannotAskError("the askpass program gave no answer")
        return output.partition(b"\n")[0].rstrip(b"\r").decode(errors="replace")

    async def confirm(self, question: str) -> bool:
        """Whether the user agrees: by the program's status, and what it prints, if anything. Raises
        CannotAskError if it cannot be run."""
        status, output = await self._run(question, CONFIRM)
        return status == 0 and output.strip().lower() in (b"", b"yes")

    async def _run(self, prompt: str, hint: str = "") -> tuple[int | None, bytes]:
        import asyncio

        environment = {**self._environment}
        environment.pop("SSH_ASKPASS_PROMPT", None)
        if hint:
            environment["SSH_ASKPASS_PROMPT"] = hint
        try:
            process = await asyncio.create_subprocess_exec(
                self._program, prompt, env=environment,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise CannotAskError(
                f"cannot run SSH_ASKPASS {self._program}: {error.strerror}"
            ) from None
        try:
            output, _ = await process.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        return process.returncode, output
