"""A line that the user may edit while typing it, by prompt-toolkit. Never for secrets.

Loading it takes 150 ms, so only a question that is really asked at a capable terminal leads here.
The event loop goes on meanwhile: the connection lives while somebody thinks.
"""

import asyncio
import os
import signal

from prompt_toolkit import PromptSession
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.output.vt100 import Vt100_Output


async def edit_line(terminal: str, prompt: str, term: str) -> str:
    """One line typed at the terminal of that path. Raises EOFError for ^D on an empty line,
    OSError."""
    *above, last = prompt.split("\n")
    descriptor = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    with (
        open(descriptor, encoding="utf-8", errors="replace") as source,
        open(descriptor, "w", encoding="utf-8", errors="replace", closefd=False) as target,
    ):
        target.writelines(f"{line}\n" for line in above)
        target.flush()
        # Without asking where the cursor is: not every terminal answers, and then it is waited for.
        output = Vt100_Output(target, lambda: _size(descriptor), term, enable_cpr=False)
        session: PromptSession[str] = PromptSession(
            input=Vt100Input(source), output=output, enable_suspend=True
        )
        try:
            return await session.prompt_async(last, handle_sigint=False)
        except KeyboardInterrupt:
            return await _interrupted()


def _size(descriptor: int) -> Size:
    columns, rows = os.get_terminal_size(descriptor)
    return Size(rows or 24, columns or 80)


async def _interrupted() -> str:
    """^C was a key here; let it be the signal that it is elsewhere, and wait to be cancelled."""
    os.kill(os.getpid(), signal.SIGINT)
    never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    return await never
