"""viaduct user: users in the store, and how passwords come in."""

import os
import pty
import select
import signal
import stat
import subprocess
import time

import pytest

from conftest import VIADUCT

EX_OK, EX_DATAERR, EX_NOUSER, EX_CANTCREAT = 0, 65, 67, 73


@pytest.fixture
def user(viaduct, home_yaml):
    """user("add", "alice@home.example", stdin="secret\\n") with the test's configuration."""

    def run(*arguments, **options):
        return viaduct("user", *arguments, "--config", home_yaml, **options)

    return run


def test_the_life_of_a_user(user):
    added = user("add", "alice@home.example", stdin="secret\n")
    assert (added.returncode, added.stderr) == (EX_OK, "")
    assert user("add", "bob@work.example", "--password-stdin", stdin="other").returncode == EX_OK
    assert user("list").stdout == "alice@home.example\nbob@work.example\n"
    assert user("passwd", "alice@home.example", stdin="new one\n").returncode == EX_OK
    assert user("delete", "alice@home.example").returncode == EX_OK
    assert user("list").stdout == "bob@work.example\n"


def test_a_user_is_added_once(user):
    user("add", "alice@home.example", stdin="secret\n")
    result = user("add", "alice@home.example", stdin="secret\n")
    assert result.returncode == EX_DATAERR
    assert "is there already" in result.stderr
    assert "user passwd" in result.stderr  # the remedy


@pytest.mark.parametrize("command", ("delete", "passwd"))
def test_a_user_must_be_there(user, command):
    user("add", "alice@home.example", stdin="secret\n")
    result = user(command, "eve@home.example", stdin="secret\n")
    assert result.returncode == EX_NOUSER
    assert "eve@home.example" in result.stderr


def test_the_domain_is_one_of_the_configuration(user):
    result = user("add", "alice@hom.example", stdin="secret\n")
    assert result.returncode == EX_DATAERR
    assert "hom.example" in result.stderr
    assert "home.example, work.example" in result.stderr


def test_domains_are_compared_without_case_and_names_with(user):
    user("add", "alice@HOME.example", stdin="secret\n")
    user("add", "Alice@home.example", stdin="secret\n")
    assert user("list").stdout == "Alice@home.example\nalice@home.example\n"


@pytest.mark.parametrize(
    "name", ("alice", "@home.example", "alice@", "a b@home.example", 'a"b@home.example', "a\nb@home.example", "a@b@home.example")
)
def test_a_name_that_is_none(user, name):
    result = user("add", name, stdin="secret\n")
    assert result.returncode == EX_DATAERR
    assert "NAME@DOMAIN" in result.stderr
    assert "\nb" not in result.stderr


@pytest.mark.parametrize(
    "password, complaint", (("", "empty"), ("\n", "empty"), ("x" * 257, "more than 256"), ("a\tb", "control"), ("a\0b", "control"))
)
def test_a_password_that_is_none(user, password, complaint):
    result = user("add", "alice@home.example", stdin=password)
    assert result.returncode == EX_DATAERR
    assert complaint in result.stderr
    assert user("list").stdout == ""


def test_no_password_is_kept(user, home_yaml):
    user("add", "alice@home.example", stdin="unmistakable-secret\n")
    folder = home_yaml.parent / "store"
    for path in folder.iterdir():
        assert b"unmistakable-secret" not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_store_named_itself_needs_no_configuration(viaduct, tmp_path):
    store = tmp_path / "a" / "b" / "users.db"
    added = viaduct("user", "add", "alice@anything.example", "--store", store, stdin="secret\n")
    assert (added.returncode, added.stderr) == (EX_OK, "")
    assert viaduct("user", "list", "--store", store).stdout == "alice@anything.example\n"


def test_either_a_configuration_or_a_store(user, tmp_path):
    result = user("list", "--store", tmp_path / "x.db")
    assert result.returncode == 64
    assert "--config" in result.stderr and "--store" in result.stderr


def test_a_store_that_cannot_be_made(viaduct, tmp_path):
    (tmp_path / "plain").write_text("")
    result = viaduct("user", "list", "--store", tmp_path / "plain" / "x.db")
    assert result.returncode == EX_CANTCREAT


def has_terminals():
    try:
        for fd in os.openpty():
            os.close(fd)
    except OSError:
        return False
    return True


needs_terminal = pytest.mark.skipif(not has_terminals(), reason="no pseudo-terminals here (is /dev/pts mounted?)")


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, environment, *arguments):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(VIADUCT, [VIADUCT, *map(str, arguments)], environment)
        self.seen = ""

    def wait_for(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert select.select([self.fd], [], [], max(0, end - time.monotonic()))[0], self.seen
            try:
                self.seen += os.read(self.fd, 1024).decode()
            except OSError:
                break
        assert text in self.seen

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        while True:
            try:
                data = os.read(self.fd, 1024)
            except OSError:
                break
            if not data:
                break
            self.seen += data.decode()
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@needs_terminal
def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(environment, home_yaml, user):
    terminal = Terminal(environment, "user", "add", "alice@home.example", "--config", home_yaml)
    terminal.wait_for("Password for alice@home.example: ")
    terminal.type("sesame\n")
    terminal.wait_for("Again for alice@home.example: ")
    terminal.type("sesame\n")
    assert terminal.end() == EX_OK
    assert "sesame" not in terminal.seen
    assert user("list").stdout == "alice@home.example\n"


@needs_terminal
def test_two_different_passwords_change_nothing(environment, home_yaml, user):
    terminal = Terminal(environment, "user", "add", "alice@home.example", "--config", home_yaml)
    terminal.wait_for("Password")
    terminal.type("one\n")
    terminal.wait_for("Again")
    terminal.type("two\n")
    assert terminal.end() == EX_DATAERR
    assert "differ" in terminal.seen
    assert user("list").stdout == ""


@needs_terminal
def test_an_interrupt_gives_the_terminal_back(environment, home_yaml, tmp_path):
    master, slave = pty.openpty()
    before = subprocess.run(["stty", "-g"], stdin=slave, capture_output=True, text=True).stdout
    child = subprocess.Popen(
        [VIADUCT, "user", "add", "alice@home.example", "--config", home_yaml], stdin=slave, stderr=subprocess.PIPE, env=environment
    )
    assert child.stderr.read(8) == b"Password"
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == -signal.SIGINT
    assert subprocess.run(["stty", "-g"], stdin=slave, capture_output=True, text=True).stdout == before
    os.close(master)
    os.close(slave)
