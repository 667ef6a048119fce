"""IPQoS: names, numbers, and what is none of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.config.traffic_class import class_name, read_ip_qos


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (("af21", "cs1"), (0x48, 0x20)),
        (("EF",), (0xB8, 0xB8)),
        (("none", "0x10"), (None, 0x10)),
        (("lowdelay", "throughput"), (0x10, 0x08)),
        (("le", "va"), (0x04, 0xB0)),
    ],
)
def test_classes(words, classes):
    assert read_ip_qos(words) == classes


@pytest.mark.parametrize("words", [(), ("ef", "ef", "ef"), ("af50",), ("256",), ("-1",), ("",)])
def test_what_is_no_class_is_refused(words):
    with pytest.raises(ValueError, match="class"):
        read_ip_qos(words)


@given(st.none() | st.integers(0, 255))
def test_what_is_written_is_read_back(value):
    assert read_ip_qos((class_name(value),)) == (value, value)
