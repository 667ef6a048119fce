"""How sessions bear what networks do, beside mosh in the same run: a table for ROAMING.md.

    python -m tests.wan.roaming            all events but the long ones, some two minutes
    python -m tests.wan.roaming --full     also outages of 30 and 120 s, and a sleep of 90 s

Round trip 100 ms, a NAT before the client; each program on a path of its own, all at the same
time. Looked at: `typing`, seconds from the event's end to the echo of a word that was typed at its
beginning; `idle`, the longest time without output of a program that prints ten times a second;
`keys`, the median echo of 40 words; `bulk`, whether bytes that went there and back meanwhile are
the same; `attach`, seconds from the start of `qsh --attach` to the first output. Needs root.
"""

import datetime
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.bench.machine import machine_line
from tests.integration.raw_client import named
from tests.wan.contenders import CAT, READY, TICKS, Mosh, Qsh, contender, contenders
from tests.wan.lab import Wan

START, PATIENCE = 30.0, 25.0
WATCHED = 5.0
BULK = 3 << 20
BULK_RATE = "16mbit"
KEYS = 40
NEVER = "never"


@dataclass(frozen=True)
class Event:
    """Something that happens: `requests` to the emulator; `seconds` that it lasts; `looks`, what is
    measured; `before`, what the path is like all the time; `kills`, which process of the server
    dies; `sleeps`, the client is stopped for so long."""

    what: str
    requests: tuple[str, ...] = ()
    seconds: float = 0.0
    looks: str = "typing"
    before: str = ""
    kills: str = ""
    sleeps: bool = False


EVENTS = (
    Event("the client's address changes", ("address 10.77.0.7",), looks="typing idle bulk"),
    Event("3 s without any address, then another", ("address 10.77.0.8 3",), looks="typing bulk"),
    Event("the NAT forgets, same address", ("nat flush",), looks="typing bulk"),
    Event("the NAT forgets, new address", ("nat flush address",), looks="typing bulk"),
    Event("from IPv4 to IPv6", ("families 6",), looks="typing idle bulk"),
    Event("blackout of 1 s", ("blackout 1s",), 1, looks="typing bulk"),
    Event("blackout of 30 s", ("blackout 30s",), 30),
    Event("blackout of 120 s", ("blackout 120s",), 120),
    Event("the client sleeps for 90 s", seconds=90, sleeps=True),
    Event("kill -9 of the listener, then a new address", ("address 10.77.0.9",), kills="listener",
          looks="typing bulk"),
    Event("kill -9 of the worker", kills="worker", looks="typing bulk"),
    Event("`yes` for a minute, its client killed", seconds=60, looks="attach"),
    Event("29 % loss, there and back together", looks="keys bulk", before="loss=15.7%"),
    Event("5 % overtaken by 30 ms, 5 % doubled", looks="keys bulk",
          before="reorder=5% reorder_delay=30ms duplicate=5%"),
)  # fmt: skip
LONG = 10.0
QUIET = "loss=0 rate=0 reorder=0 duplicate=0"


class Trial:
    """One contender meets the events, one after the other."""

    def __init__(self, who: Qsh | Mosh, wan: Wan) -> None:
        self._who = who
        self._wan = wan

    def look(self, event: Event, what: str) -> str:
        """A cell of the table; empty where the contender has no such thing."""
        is_mosh = isinstance(self._who, Mosh)
        if is_mosh and (what in ("bulk", "attach") or event.kills):
            return "-"
        self._wan.ctl("families 4")
        self._wan.ctl(f"set {QUIET} {event.before}")
        measure: Callable[[Event], str] = getattr(self, f"_{what}")
        try:
            return measure(event)
        finally:
            self._wan.ctl("blackout 0")

    def _typing(self, event: Event) -> str:
        with self._who.types(CAT) as session:
            if not session.says(READY, START) or session.echo(START) is None:
                return "no session"
            if event.sleeps:
                session.signal(signal.SIGSTOP)
                time.sleep(event.seconds)
                session.signal(signal.SIGCONT)
                return _seconds(session.echo(PATIENCE))
            self._happen(event)
            return _seconds(session.echo(event.seconds + PATIENCE), event.seconds)

    def _idle(self, event: Event) -> str:
        with self._who.types(TICKS) as session:
            if not session.says(READY, START):
                return "no session"
            session.watch(1.0)
            self._happen(event)
            longest = session.watch(WATCHED)
        return NEVER if longest >= WATCHED - 0.1 else f"{longest:.2f}"

    def _keys(self, event: Event) -> str:
        """Median and 95th percentile of an echo."""
        with self._who.types(CAT) as session:
            if not session.says(READY, START):
                return "no session"
            times = [session.echo(PATIENCE) or PATIENCE for _ in range(KEYS + 1)][1:]
        median, high = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        return f"{median:.2f} (95 %: {high:.2f})"

    def _bulk(self, event: Event) -> str:
        assert isinstance(self._who, Qsh)
        if not event.before:
            self._wan.ctl(f"set rate={BULK_RATE}")
        data = os.urandom(BULK // 4 if event.before else BULK)
        with self._who.copies(data) as copy:
            if not copy.begins(START):
                return "no session"
            self._happen(event)
            same = copy.finished(90) == data
        return "equal" if same else "**NOT EQUAL**"

    def _attach(self, event: Event) -> str:
        assert isinstance(self._who, Qsh)
        with self._who.types(f"echo {READY}; exec yes", "--session=yes") as session:
            if not session.says(READY, START):
                return "no session"
            session.signal(signal.SIGKILL)
            time.sleep(event.seconds)
        begin = time.monotonic()
        with self._who.types("", "--attach=yes") as session:
            seen = session.says("y\r\ny", PATIENCE)
            return _seconds(time.monotonic() - begin if seen else None)

    def _happen(self, event: Event) -> None:
        if event.kills:
            assert isinstance(self._who, Qsh)
            for pid in named(self._who.daemon, f"qsh-{event.kills}"):
                os.kill(pid, signal.SIGKILL)
        for request in event.requests:
            self._wan.ctl(request)


def _seconds(measured: float | None, lasted: float = 0.0) -> str:
    return NEVER if measured is None else f"{max(0.0, measured - lasted):.2f}"


def column(name: str, *, is_full: bool) -> tuple[str, dict[tuple[str, str], str]]:
    """All that one contender reaches: cells by event and what was looked at."""
    cells = {}
    with Wan("--nat", "--ipv6", rtt="100ms") as wan, tempfile.TemporaryDirectory() as folder:
        who = contender(name, wan, Path(folder))
        try:
            for event in EVENTS:
                if event.seconds > LONG and not is_full:
                    continue
                for what in event.looks.split():
                    cells[event.what, what] = Trial(who, wan).look(event, what)
                    print(f"{who.name}: {event.what}, {what}: {cells[event.what, what]}",
                          file=sys.stderr)  # fmt: skip
        finally:
            who.stop()
    return who.name, cells


def main() -> None:
    is_full = "--full" in sys.argv
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(column, name, is_full=is_full) for name in contenders()]
        columns = [run.result() for run in runs]
    words = " ".join(["python -m tests.wan.roaming", *(["--full"] if is_full else [])])
    print(f"`{words}`, {datetime.date.today():%-d %B %Y}, {machine_line()}.\n")
    print("| what happens | looked at |", " | ".join(name for name, _ in columns), "|")
    print("|---|---|" + "---|" * len(columns))
    for event in EVENTS:
        for what in event.looks.split():
            cells = [found.get((event.what, what), "") for _, found in columns]
            if any(cells):
                print(f"| {event.what} | {what} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
