"""The package is typed: `mypy --strict` finds nothing in it, and infers what a program expects."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parent / "dispatch"

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")


def run_mypy(cache: Path, *paths: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "PYTHONMALLOC")}
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=HERE.parent)
    return done.stdout + done.stderr


def test_the_package_is_strictly_typed(tmp_path: Path) -> None:
    assert "Success: no issues found" in run_mypy(tmp_path, SOURCE, HERE / "typed_program.py")
