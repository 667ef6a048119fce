"""The engines under attack for as long as you like (the test suite runs a short one).

    python -m tests.fuzz --runs 1000000 --coverage

At the end it tells how much of the parsing code the hostile packets have reached: lines of the
engines' Python, which is all of aioquic; the native engine's Rust is not counted.
"""

import argparse
import io
import time

import pytest

PACKAGES = ["qsh.quic", "aioquic.quic"]


def attack(options: argparse.Namespace) -> None:
    """Each engine, one line for each."""
    from tests.fuzz.engines import fuzz  # under coverage, if that is asked for

    start = time.monotonic()
    for name, report in fuzz(options.runs, options.seed, pytest.MonkeyPatch(), options.engine):
        spent, start = time.monotonic() - start, time.monotonic()
        print(f"fuzz {name}, seed {options.seed}, {spent:.0f} s: {report.line()}", flush=True)


def attack_covered(options: argparse.Namespace) -> None:
    """The same, and the share of lines that ran."""
    import coverage

    measure = coverage.Coverage(data_file=None, source_pkgs=PACKAGES, branch=False)
    measure.start()
    try:
        attack(options)
    finally:
        measure.stop()
    text = io.StringIO()
    measure.report(file=text, skip_empty=True, include=["*/quic/*"])
    print(text.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--runs", type=int, default=100_000, help="hostile packets per engine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("quinn", "aioquic"), action="append")
    parser.add_argument("--coverage", action="store_true", help="tell what was reached (slower)")
    options = parser.parse_args()
    (attack_covered if options.coverage else attack)(options)


if __name__ == "__main__":
    main()
