"""viaduct check: what is said of a configuration. That each mistake is found is for tests/unit/config."""

import subprocess

from conftest import ROOT

EX_OK, EX_NOINPUT, EX_CONFIG = 0, 66, 78


def test_a_right_file(viaduct, home_yaml, tmp_path):
    result = viaduct("check", home_yaml)
    assert result.returncode == EX_OK
    assert result.stdout == f"{home_yaml}: right; 1 listener, 2 domains, store {tmp_path}/store/viaduct.db\n"
    assert result.stderr == ""
    assert not (tmp_path / "store").exists()  # looks and changes nothing


def test_the_dump_is_a_configuration_with_the_same_dump(viaduct, home_yaml, tmp_path):
    first = viaduct("check", "-v", home_yaml)
    copy = tmp_path / "copy.yaml"
    copy.write_text(first.stdout)
    assert viaduct("check", "--verbose", copy).stdout == first.stdout
    assert "timer_c: 190s\n" in first.stdout


def test_every_mistake_is_told_in_one_run(viaduct, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("listeners:\n  - { transport: udp, adress: 127.0.0.1 }\nlog: { level: loud }\nworkers: 0\n")
    result = viaduct("check", path)
    assert result.returncode == EX_CONFIG
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == f'{path}:2: listeners[0].adress: unknown key; did you mean "address"?'
    assert lines[1].startswith(f'{path}:2: listeners[0]: has no "address"; ')
    assert lines[2].startswith(f"{path}:3: log.level: ")
    assert lines[3].startswith(f"{path}:4: workers: ")
    assert len(lines) == 4


def test_run_says_the_same_and_does_not_start(viaduct, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("listeners: 5\n")
    checked, run = viaduct("check", path), viaduct("run", "--config", path)
    assert run.returncode == EX_CONFIG
    assert run.stderr == checked.stderr


def test_a_file_that_is_not_there(viaduct, tmp_path):
    result = viaduct("check", tmp_path / "none.yaml")
    assert result.returncode == EX_NOINPUT
    assert result.stderr == f"{tmp_path}/none.yaml: cannot be read: No such file or directory; check the name\n"


def test_without_a_file_the_built_in_default_is_checked(viaduct, environment):
    result = viaduct("check")
    assert result.returncode == EX_OK
    home = environment["HOME"]
    assert f"the built-in default: right; " in result.stdout
    assert f"store {home}/.local/state/viaduct/viaduct.db" in result.stdout


def test_the_reference_is_what_the_documentation_says(viaduct):
    result = viaduct("check", "--keys")
    assert result.returncode == EX_OK
    assert result.stdout in (ROOT / "docs" / "CONFIGURATION.md").read_text()


def test_the_script_that_writes_the_reference_changes_nothing_now():
    before = (ROOT / "docs" / "CONFIGURATION.md").read_text()
    mark = "<!-- From here to the end"
    assert before.count(mark) == 1
    subprocess.run(["sh", "-n", ROOT / "script" / "docs"], check=True)
