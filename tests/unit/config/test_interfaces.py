"""Addresses of this machine, compared with what ip(8) says."""

import json
import shutil
import subprocess

import pytest

from qsh.config.interfaces import local_addresses


@pytest.mark.skipif(not shutil.which("ip"), reason="needs ip(8)")
def test_the_same_as_ip_says():
    rows = json.loads(subprocess.check_output(["ip", "-j", "addr"]))
    expected = {info["local"] for row in rows if row["ifname"] != "lo" for info in row["addr_info"]}
    assert set(local_addresses()) == expected


def test_no_loopback():
    assert "127.0.0.1" not in local_addresses()
