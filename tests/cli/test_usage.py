"""Commands, options, help and exit codes (sysexits.h)."""

import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import ROOT, VIADUCT

EX_OK, EX_USAGE, EX_IOERR = 0, 64, 74
COMMANDS = ("run", "check", "user add", "user delete", "user list", "user passwd", "version", "help")


def test_version(viaduct):
    for arguments in (["version"], ["--version"]):
        result = viaduct(*arguments)
        assert result.returncode == EX_OK
        assert re.fullmatch(r"viaduct \d+\.\d+\.\d+\n", result.stdout)


def test_no_command_is_a_usage_error_that_shows_the_commands(viaduct):
    result = viaduct()
    assert result.returncode == EX_USAGE
    assert result.stdout == ""
    assert all(command in result.stderr for command in COMMANDS)


@pytest.mark.parametrize("arguments", (["help"], ["--help"], ["-h"]))
def test_help_shows_the_commands(viaduct, arguments):
    result = viaduct(*arguments)
    assert result.returncode == EX_OK
    assert result.stderr == ""
    assert all(f"  {command}" in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(viaduct, command):
    words = command.split()
    asked = viaduct("help", *words)
    assert asked.returncode == EX_OK
    assert asked.stdout.startswith(f"viaduct {command}: ")
    assert f"usage: viaduct {command}" in asked.stdout
    for option in ("--help", "-h"):
        assert viaduct(*words, option).stdout == asked.stdout


@pytest.mark.parametrize("arguments", (["user", "--help"], ["help", "user"]))
def test_help_of_a_family_lists_its_members(viaduct, arguments):
    result = viaduct(*arguments)
    assert result.returncode == EX_OK
    assert "user passwd" in result.stdout
    assert "check" not in result.stdout


@pytest.mark.parametrize(
    "arguments, message",
    (
        (["rum"], 'unknown command "rum"; did you mean "run"?'),
        (["frobnicate"], 'unknown command "frobnicate"; see "viaduct help"'),
        (["user"], '"user" needs one more word; see "viaduct help user"'),
        (["user", "ad"], 'unknown command "user ad"; did you mean "user add"?'),
        (["help", "rum"], 'unknown command "rum"; did you mean "run"?'),
        (["--config", "x"], '"--config" does not come before a command; see "viaduct help"'),
        (["run", "x"], '"x" is too much; see "viaduct help run"'),
        (["run", "--conf1g", "x"], '"--conf1g" is no option of "run"; did you mean "--config"?'),
        (["run", "--store", "x"], '"--store" is no option of "run"; see "viaduct help run"'),
        (["run", "-x"], '"-x" is no option of "run"; see "viaduct help run"'),
        (["run", "--config"], '"--config" needs a value; see "viaduct help run"'),
        (["check", "a", "b"], '"b" is too much; see "viaduct help check"'),
        (["user", "add"], 'NAME@DOMAIN is missing; see "viaduct help user add"'),
        (["user", "add", "alice@home.example", "secret"], '"secret" is too much; see "viaduct help user add"'),
    ),
)
def test_a_usage_error_is_one_line_and_says_what_to_do(viaduct, arguments, message):
    result = viaduct(*arguments)
    assert (result.returncode, result.stdout, result.stderr) == (EX_USAGE, "", f"viaduct: {message}\n")


def test_options_may_follow_operands(viaduct, home_yaml):
    assert viaduct("check", home_yaml, "-v").stdout == viaduct("check", "-v", home_yaml).stdout


def test_output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        result = subprocess.run([VIADUCT, "help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert result.returncode == EX_IOERR
    assert "No space left on device" in result.stderr


def manual():
    return (ROOT / "man" / "viaduct.8").read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_manual_has_every_command(command):
    assert re.search(rf"^\.It Ic {command}\b", manual(), re.MULTILINE)


@pytest.mark.parametrize("option", ("config", "store", "password-stdin", "verbose", "keys", "help"))
def test_the_manual_has_every_option(option):
    assert re.search(rf"Fl -{option}\b", manual())


def test_the_manual_has_every_exit_code_of_the_program():
    sources = " ".join(path.read_text() for path in (ROOT / "src" / "app").glob("*.c"))
    used = set(re.findall(r"\bEX_[A-Z]+\b", sources)) - {"EX__BASE"}
    header = pathlib.Path("/usr/include/x86_64-linux-gnu/sysexits.h")
    header = header if header.exists() else pathlib.Path("/usr/include/sysexits.h")
    values = dict(re.findall(r"#define\s+(EX_\w+)\s+(\d+)", header.read_text()))
    for name in used:
        assert re.search(rf"^\.It {values[name]}\b", manual(), re.MULTILINE), f"{name} is not in the manual"


@pytest.mark.skipif(not shutil.which("groff"), reason="not installed: groff")
def test_the_manual_is_well_formed():
    argv = ["groff", "-mdoc", "-Tutf8", "-ww", "-rLL=120n", ROOT / "man" / "viaduct.8"]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    assert "viaduct.yaml" in result.stdout
