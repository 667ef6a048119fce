"""A program that prints a numbered stream and checks a numbered input, and its counterpart.

    numbered.py LINES PAUSE

Each line that comes must be the next number; what is wrong is printed, and ends the program.
"""

import os
import sys
import threading
import time
import tty

WIDTH = 9
"""Bytes of a line: eight digits and the end."""
PER_TURN = 20


def lines(first, last):
    """The stream's bytes from line to line."""
    return b"".join(b"%08d\n" % number for number in range(first, last))


def check_input(count):
    """Read `count` lines; what was wrong, or how many were right."""
    rest, number = b"", 0
    while number < count:
        data = os.read(0, 65536)
        if not data:
            return f"end of input after {number}"
        rest += data
        whole = len(rest) - len(rest) % WIDTH
        for at in range(0, whole, WIDTH):
            if rest[at : at + WIDTH] != b"%08d\n" % number:
                return f"line {number} came as {rest[at : at + WIDTH]!r}"
            number += 1
        rest = rest[whole:]
    return f"all {number} lines came" if not rest else f"too much: {rest!r}"


def main():
    count, pause = int(sys.argv[1]), float(sys.argv[2])
    if os.isatty(0):
        tty.setraw(0)
    verdict = []
    reading = threading.Thread(target=lambda: verdict.append(check_input(count)), daemon=True)
    reading.start()
    for first in range(0, count, PER_TURN):
        data = lines(first, min(first + PER_TURN, count))
        while data:
            data = data[os.write(1, data) :]
        time.sleep(pause)
    reading.join(60)
    sys.stdout.write((verdict or ["no input"])[0] + "\n")
    sys.stdout.flush()
    os._exit(37)


if __name__ == "__main__":
    main()
