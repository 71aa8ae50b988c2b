"""Users come and go while the proxy runs: the command line writes, the proxy takes notice."""

import pytest
from harness import env
from harness.env import poll
from harness.process import Process

pytestmark = pytest.mark.viaduct


def user(proxy, command, *args, password=None):
    """Runs `viaduct user COMMAND`; its standard output."""
    argv = [env.VIADUCT, "user", command, *args, "--store", proxy.store]
    if password:
        argv.append("--password-stdin")
    child = Process(f"user-{command}", argv, proxy.folder, stdin=True)
    if password:
        child.say(password)
    child.popen.stdin.close()
    assert child.wait(10) == 0, child.tail()
    return child.out()


def becomes(phone, status):
    """The registration is answered so within a few seconds."""
    return poll(lambda: phone.register().status == status, 5)


def test_a_user_added_while_the_proxy_runs_can_register(start_proxy, phone):
    proxy = start_proxy()
    late = phone(proxy, "late")
    assert late.register().status == 401
    user(proxy, "add", f"late@{proxy.domain}", password="secret")
    assert becomes(late, 200)


def test_a_changed_password_counts_and_the_old_one_no_longer(start_proxy, phone):
    proxy = start_proxy()
    old, new = phone(proxy, "alice"), phone(proxy, "alice", password="another")
    assert old.register().status == 200
    user(proxy, "passwd", f"alice@{proxy.domain}", password="another")
    assert becomes(new, 200)
    assert old.register().status == 401


def test_a_deleted_user_can_neither_register_nor_be_called(start_proxy, phone):
    proxy = start_proxy()
    alice, bob = phone(proxy, "alice"), phone(proxy, "bob")
    assert alice.register().status == 200
    user(proxy, "delete", f"alice@{proxy.domain}")
    assert becomes(alice, 401)
    assert bob.final(bob.invite(alice.aor)).status == 404
    alice.expect_nothing(0.1, "INVITE")


def test_users_are_listed(start_proxy):
    proxy = start_proxy()
    listed = user(proxy, "list")
    for name in proxy.options.users:
        assert f"{name}@{proxy.domain}" in listed


def test_the_store_holds_no_password(start_proxy):
    proxy = start_proxy(users=())
    user(proxy, "add", f"alice@{proxy.domain}", password="correct-horse-battery")
    for path in proxy.store.parent.iterdir():
        assert b"correct-horse-battery" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0, path
