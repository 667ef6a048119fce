from qsh.server.accounts.login_records import (
    LastLogin,
    last_login_line,
    read_last_login,
    write_last_login,
)


def test_there_and_back(tmp_path):
    path = str(tmp_path / "lastlog")
    assert read_last_login(1000, path) is None
    write_last_login(1000, LastLogin(1.7e9, "/dev/pts/3", "192.0.2.1"), path)
    assert read_last_login(1000, path) is None  # no file, no record
    (tmp_path / "lastlog").touch()
    write_last_login(1000, LastLogin(1.7e9, "/dev/pts/3", "192.0.2.1"), path)
    assert read_last_login(1000, path) == LastLogin(1_700_000_000, "pts/3", "192.0.2.1")
    assert read_last_login(999, path) is None
    assert (tmp_path / "lastlog").stat().st_size == 1001 * 292


def test_line():
    line = last_login_line(LastLogin(0.0, "pts/0", "192.0.2.1"))
    assert line.startswith("Last login: Thu Jan  1 ")
    assert line.endswith(" 1970 from 192.0.2.1\r\n")
    assert "from" not in last_login_line(LastLogin(0.0, "tty1", ""))
