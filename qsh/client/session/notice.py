"""The notice that nothing is heard from the server: when it is due, what it says, and how it is
shown in a window's title. Pure; time is passed in. client.last_row shows it on the screen.
"""

from collections.abc import Mapping

from qsh.log import printable

PATIENCE = 3.0
"""Seconds without an answer before anything is said."""
LOOK = 0.25
"""Seconds between looks while there is something to say."""
KEEP_TITLE, PUT_BACK_TITLE = "\x1b[22;2t", "\x1b[23;2t"
"""XTWINOPS: push the window's title on the terminal's stack, and pop it."""
HAVE_TITLES = ("xterm", "tmux", "alacritty", "foot")
"""How TERM begins for terminals with such a stack."""


def has_titles(environment: Mapping[str, str]) -> bool:
    """Whether the terminal can keep a title and put it back."""
    term = environment.get("TERM", "")
    return term.startswith(HAVE_TITLES) or ("TMUX" in environment and term.startswith("screen"))


class Notice:
    """Of one session; `escape` is the escape character, if there is one."""

    def __init__(self, escape: bytes | None) -> None:
        self._escape = escape.decode("latin-1") if escape else ""
        self._quiet = 0.0
        self._heard_at = 0.0
        self._away_since: float | None = None

    @property
    def wait(self) -> float:
        """Seconds until `look` may have something new to say."""
        return LOOK if self._quiet >= PATIENCE else PATIENCE - self._quiet

    def look(self, now: float, silence: float, since_heard: float, *, is_away: bool) -> str:
        """What the user is to read; empty for nothing. `silence` is for how long an answer has
        been owed, `since_heard` the time since the server said anything; `is_away`: there is no
        connection to ask these of, and another is sought."""
        if not is_away:
            self._heard_at = now - since_heard
            self._away_since, self._quiet = None, silence
        else:
            if self._away_since is None:
                self._away_since = now - self._quiet
            self._quiet = now - self._away_since
        return self._text(now, is_away=is_away) if self._quiet >= PATIENCE else ""

    def _text(self, now: float, *, is_away: bool) -> str:
        dialling = ", dialling anew" if is_away else ""
        leave = f"; {self._escape}. leaves" if self._escape else ""
        return f"qsh: nothing heard for {int(now - self._heard_at)} s{dialling}{leave}"


class Title:
    """The title of the window in which a session with `host` runs."""

    def __init__(self, host: str) -> None:
        self._host = printable(host)
        self.is_shown = False

    def show(self, text: str) -> str:
        """What to write so that it says this."""
        keep = "" if self.is_shown else KEEP_TITLE
        self.is_shown = True
        return keep + _title(text)

    def hide(self) -> str:
        """What to write so that it is as it was. A terminal without a stack of titles is left
        with the host's name, which is true."""
        if not self.is_shown:
            return ""
        self.is_shown = False
        return _title(self._host) + PUT_BACK_TITLE


def _title(text: str) -> str:
    """OSC 2: the window's title."""
    return f"\x1b]2;{text}\x07"
