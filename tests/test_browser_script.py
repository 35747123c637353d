"""scripts/browser.sh in a checkout of its own, with nothing on the PATH but what it needs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "browser.sh"


@pytest.fixture
def find(tmp_path):
    """Runs the script with programs of the PATH given as shell lines."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname", "id", "ls", "tail", "env"):
        os.symlink(shutil.which(name), programs / name)

    def find(**given):
        for name, line in given.items():
            (programs / name).write_text(f"#!{shutil.which('sh')}\n{line}\n")
            (programs / name).chmod(0o755)
        command = [tmp_path / "scripts" / "browser.sh"]
        return subprocess.run(command, env={"PATH": str(programs)}, capture_output=True, text=True)

    return find


def test_the_machines_own_is_found_if_it_starts(find, tmp_path):
    done = find(**{"chromium": "echo use snap >&2; exit 1", "google-chrome": "exit 0"})
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'bin' / 'google-chrome'}\n")


def test_where_none_can_be_had_one_line_says_so(find):
    done = find()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("browser: no Chromium on this machine, and none could be installed.")
