"""Runs the command, with nothing of DISPATCH_ in its environment but what a test puts there; and plays one test after the
other."""

import os
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(SOURCE, "tests", "conformance"))
TIMEOUT_S = 60


def dispatch(*arguments, **variables):
    """Exit code, stdout, stderr."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_")}
    done = subprocess.run([sys.argv[1], *arguments], env={**env, **variables}, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=TIMEOUT_S)
    assert "Sanitizer" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def play(tests):
    """Each in an empty folder of its own; ends the process."""
    n_failed = 0
    for test in tests:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                test()
                print("ok     " + test.__name__)
            except Exception:
                n_failed += 1
                print("FAILED " + test.__name__ + "\n" + traceback.format_exc())
            os.chdir("/")
    sys.exit(1 if n_failed else 0)
