"""The command line's words about sessions by name: start, attach, list, end. Pure."""

from qsh.errors import UsageError
from qsh.record import record

START, ATTACH, LIST, END = "start", "attach", "list", "end"
TAKE_OVER, SHARE, WATCH = 1, 2, 3
"""How to attach: PROTOCOL.md section 7."""
OPTIONS = ("attach", "detach", "kill", "list", "read-only", "session", "share")
NEEDS_NAME = frozenset(("kill", "session"))
MAY_HAVE_NAME = frozenset(("attach", "kill", "session"))


@record
class SessionWish:
    """What is to be done with a session: `action` is one of the four above; `label` names it,
    empty for the one there is; `mode` says how to attach."""

    action: str
    label: str = ""
    mode: int = TAKE_OVER
    leaves: bool = False
    """Start it, and leave it running."""


def read_wish(given: dict[str, str | None], command: tuple[str, ...]) -> SessionWish | None:
    """From the long options of `OPTIONS` with their values; None if there is none. Raises
    UsageError."""
    for name, value in given.items():
        if name in NEEDS_NAME and not value:
            raise UsageError(f"--{name} needs the name of a session: --{name}=NAME")
        if value is not None and name not in MAY_HAVE_NAME:
            raise UsageError(f"--{name} takes no value")
    actions = [name for name in given if name in ("attach", "kill", "list", "session")]
    if len(actions) > 1:
        raise UsageError(f"--{actions[0]} and --{actions[1]}: choose one")
    if not actions:
        if given:
            first = next(iter(given))
            other = "session" if first == "detach" else "attach"
            raise UsageError(f"--{first} goes with --{other}")
        return None
    action = actions[0]
    if action != "session" and command:
        raise UsageError(f"--{action} runs no command: leave the command out")
    if "detach" in given and action != "session":
        raise UsageError("--detach goes with --session")
    modes = {"read-only": WATCH, "share": SHARE}
    how = [name for name in modes if name in given]
    if how and action != "attach":
        raise UsageError(f"--{how[0]} goes with --attach")
    label = given[action] or ""
    match action:
        case "session":
            return SessionWish(START, label, leaves="detach" in given)
        case "attach":
            return SessionWish(ATTACH, label, modes[how[0]] if how else TAKE_OVER)
        case "kill":
            return SessionWish(END, label)
    return SessionWish(LIST)
