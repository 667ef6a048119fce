"""A visit from its options to its exit status: in the foreground, in the background, or shared."""

import asyncio
import os
from collections.abc import Callable

from qsh.client.forwards.stdio_target import target_of
from qsh.client.plan import plan_session
from qsh.client.session.console import Console
from qsh.client.session.local_terminal import local_terminal
from qsh.client.session_options import END, LIST, SessionWish
from qsh.client.visit import Visit
from qsh.config.client_settings import ClientSettings


def run(settings: ClientSettings, command: tuple[str, ...], stdio: str | None = None,
        wish: SessionWish | None = None) -> int:
    """One whole visit to a host; gives the exit status. `stdio` is the argument of -W, `wish` what
    is to be done with a session by name. Raises QshError, Interrupted."""
    console = Console()
    plan = None
    if wish is None or wish.action not in (LIST, END):
        plan = plan_session(settings, command, os.environ, local_terminal(console))
    visit = Visit(settings, plan, console, target_of(stdio) if stdio else None, wish)

    def work(detach: Callable[[], None]) -> int:
        visit.when_logged_in = detach
        try:
            return asyncio.run(visit.run())
        finally:
            console.restore()

    if may_share(settings) and wish is None:
        from qsh.client.master.sharing import run_shared

        return run_shared(visit, settings, plan, work, has_stdio=stdio is not None)
    if not settings.fork_after_authentication:
        return work(lambda: None)
    from qsh.client.background import run_in_background

    return run_in_background(work, keeps_output=plan is not None)


def may_share(settings: ClientSettings) -> bool:
    """Whether this visit is to be the master of a shared connection."""
    return settings.control_path is not None and settings.control_master != "no"
