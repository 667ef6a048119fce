"""The user's terminal as a plan needs to know it."""

import termios

from qsh.client.plan import LocalTerminal
from qsh.client.session.console import Console


def local_terminal(console: Console) -> LocalTerminal:
    """What the plan needs to know of standard input."""
    attributes = console.attributes()
    if attributes is None:
        return LocalTerminal(False)
    from qsh.terminal.modes import encode_modes, modes_of

    size = console.size()
    modes = encode_modes(modes_of(attributes, termios))
    return LocalTerminal(True, size.columns, size.rows, size.width_px, size.height_px, modes)
