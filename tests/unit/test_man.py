"""The manual pages: mdoc without a flaw, and an entry for every option and keyword, no more."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qsh.client import options
from qsh.config.client_keywords import CLIENT_KEYWORDS
from qsh.config.keywords import Effect
from qsh.config.server_keywords import SERVER_KEYWORDS
from qsh.server import control
from qsh.server import options as daemon_options

MAN = Path(__file__).parents[2] / "man"
PAGES = sorted(MAN.iterdir())
UNKNOWN_HERE = re.compile(r"referenced manual not found|outdated mandoc\.db")
"""What mandoc says of pages that are not installed on this machine."""

QSH_LETTERS = {*options.KEYWORD_OF_LETTER, *options.LINE_OF_LETTER, *options.OTHER_FLAGS,
               *options.OTHER_WITH_VALUE}  # fmt: skip


def sections(page):
    """{title: lines} of a page."""
    parts = re.split(r"^\.Sh (.*)\n", (MAN / page).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (text.splitlines() for text in parts[2::2]), strict=True))


def entries(lines, macro):
    """Words after `.It Fl` or `.It Cm`, in order."""
    return [line.split()[2] for line in lines if line.startswith(f".It {macro} ")]


@pytest.mark.skipif(not shutil.which("mandoc"), reason="needs mandoc")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_well_formed(page):
    done = subprocess.run(
        ["mandoc", "-T", "lint", str(page)], capture_output=True, text=True, check=False
    )
    complaints = (done.stdout + done.stderr).splitlines()
    assert [text for text in complaints if not UNKNOWN_HERE.search(text)] == []


def test_every_option_of_qsh_has_its_entry():
    found = entries(sections("qsh.1")["DESCRIPTION"], "Fl")
    wanted = QSH_LETTERS | {f"-{name}" for name in options.LONG_OPTIONS}
    assert sorted(found) == sorted(wanted)


def test_every_option_of_qshd_has_its_entry():
    found = entries(sections("qshd.8")["DESCRIPTION"], "Fl")
    letters = set(daemon_options.LETTERS.replace(":", ""))
    long = {f"-{name.rstrip('=')}" for name in daemon_options.LONG_OPTIONS}
    assert sorted(found) == sorted((letters | long) - {"-help", "-version"})


def test_every_option_and_command_of_qshctl_has_its_entry():
    lines = sections("qshctl.8")["DESCRIPTION"]
    long = {f"-{name.rstrip('=')}" for name in control.LONG_OPTIONS}
    assert set(entries(lines, "Fl")) == (long - {"-help", "-version"}) | {"V"}
    assert entries(lines, "Cm") == ["sessions", "kill"]


def test_options_stand_in_order():
    found = entries(sections("qsh.1")["DESCRIPTION"], "Fl")
    letters = [name for name in found if len(name) == 1]
    assert letters == sorted(letters, key=lambda c: (not c.isdigit(), c.lower(), c.islower()))


def test_the_letters_that_are_refused_are_named():
    text = " ".join(sections("qsh.1")["DESCRIPTION"])
    for letter in options.REFUSED:
        assert f".Fl {letter} is refused" in text


CONFIG_PAGES = [("qsh_config.5", CLIENT_KEYWORDS), ("qshd_config.5", SERVER_KEYWORDS)]
CHAPTERS = {
    Effect.WORKS: "DESCRIPTION",
    Effect.NONE: "KEYWORDS WITHOUT EFFECT",
    Effect.NOT_YET: "KEYWORDS NOT SUPPORTED YET",
}


@pytest.mark.parametrize(("page", "table"), CONFIG_PAGES)
@pytest.mark.parametrize("effect", Effect)
def test_every_keyword_has_its_entry_in_its_chapter(page, table, effect):
    found = entries(sections(page)[CHAPTERS[effect]], "Cm")
    assert sorted(found) == sorted(row.name for row in table.rows if row.effect is effect)


@pytest.mark.parametrize(("page", "table"), CONFIG_PAGES)
def test_every_reason_is_given(page, table):
    for effect in (Effect.NONE, Effect.NOT_YET):
        text = " ".join(sections(page)[CHAPTERS[effect]])
        for row in table.rows:
            assert row.effect is not effect or row.reason[1:] in text


@pytest.mark.parametrize(("page", "table"), CONFIG_PAGES)
def test_the_values_that_pass_are_given(page, table):
    lines = sections(page)[CHAPTERS[Effect.NOT_YET]]
    for row in table.rows:
        if row.effect is Effect.NOT_YET:
            values = " | ".join(value for value in row.harmless if value != "false")
            assert f".It Cm {row.name} {values}".rstrip() in lines


@pytest.mark.parametrize(("page", "table"), CONFIG_PAGES)
def test_other_names_are_given(page, table):
    text = "\n".join(sections(page)["OTHER NAMES"])
    for other, name in table.others.items():
        assert f".It Cm {other}\nis\n.Cm {name} ." in text
