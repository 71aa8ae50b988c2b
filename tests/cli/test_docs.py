"""What the documentation names is there."""

import re

import pytest

from conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "src|tests|script|etc|docs|man|cmake"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_folders_that_are_named_exist(page):
    for name in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", page.read_text()):
        assert (ROOT / name).exists(), name


def test_presets_that_are_named_exist():
    text = (ROOT / "CMakePresets.json").read_text()
    for page in PAGES:
        for name in re.findall(r"--preset (\w+)", page.read_text()):
            assert f'"name": "{name}"' in text, name


def test_the_unit_names_the_paths_of_the_manual():
    unit, manual = ((ROOT / name).read_text() for name in ("etc/viaduct.service", "man/viaduct.8"))
    (config,) = set(re.findall(r"/etc/\S+\.yaml", unit))
    assert config in manual
