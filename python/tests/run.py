"""Runs the package's tests: in the build tree, against the extension modules that were built there, or of a fresh install.

    run.py tests --site SITE --work FOLDER [--preload LIBRARY] [--library-folder FOLDER] [WORD...]
    run.py install --source python --work FOLDER [--asan]

`tests` runs pytest with PYTHONPATH=SITE. `install` makes a wheel of the source, as `pip install ./python` does, installs it
where nothing else is, runs the example of the documentation as a script and under pytest, and has mypy.stubtest compare the
stubs and annotations with what the modules have (not in the build tree: mypy is slow under sanitizers). Both make a virtual
environment in FOLDER with what they need from the package registry; exit code 77 when that cannot be had."""

import argparse
import hashlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77


def make_environment(folder: str, requirements: str) -> str:
    """The interpreter of a virtual environment with the requirements; made anew when they or the interpreter change."""
    python = os.path.join(folder, "bin", "python")
    stamp = os.path.join(folder, "complete")
    with open(requirements, "rb") as file:
        wanted = hashlib.sha256(file.read() + sys.version.encode() + sys.executable.encode()).hexdigest()
    if os.path.exists(stamp) and open(stamp).read() == wanted:
        return python
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", folder],
        [*install, "--timeout", "15", "-r", requirements],
    ):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(f"SKIPPED: the Python packages cannot be had: {done.stdout.strip().splitlines()[-1:]}")
            sys.exit(SKIPPED)
    with open(stamp, "w") as file:
        file.write(wanted)
    return python


def clean_environment() -> dict[str, str]:
    """Nothing of the caller's settings of Dispatch or Python."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("DISPATCH_", "PYTHON"))}


def run_tests(options: argparse.Namespace) -> int:
    python = make_environment(os.path.join(options.work, "venv"), os.path.join(HERE, "requirements.txt"))
    environment = clean_environment()
    environment["PYTHONPATH"] = options.site
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    if options.server:
        environment["DISPATCH_TEST_SERVER"] = options.server
    if options.peer:
        environment["DISPATCH_TEST_PEER"] = options.peer
    if options.preload:
        environment["LD_PRELOAD"] = options.preload
        environment["ASAN_OPTIONS"] = "detect_leaks=0"
        environment["PYTHONMALLOC"] = "malloc"
    words = options.words or [HERE]
    command = [python, "-m", "pytest", "-q", "-p", "dispatch.test.pytest_plugin", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, env=environment, cwd=HERE).returncode


def run_install(options: argparse.Namespace) -> int:
    work = options.work
    python = make_environment(os.path.join(work, "venv"), os.path.join(HERE, "requirements.txt"))
    environment = clean_environment()
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-build-isolation"]
    subprocess.run([*install, "--force-reinstall", "--no-deps", options.source], env=environment, check=True)
    allowlist = os.path.join(HERE, "stubtest_allowlist.txt")
    for command in (
        [python, os.path.join(HERE, "page_example.py")],
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", os.path.join(HERE, "page_example.py")],
        [python, "-m", "mypy.stubtest", "dispatch", "--concise", "--allowlist", allowlist],
    ):
        print("+", *command, flush=True)
        subprocess.run(command, env=environment, cwd=work, check=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tests", "install"])
    parser.add_argument("--site")
    parser.add_argument("--source")
    parser.add_argument("--work", required=True)
    parser.add_argument("--preload")
    parser.add_argument("--server", help="the binary `dispatch`, for tests across processes")
    parser.add_argument("--peer", help="the program of c_peer.c")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    return run_tests(options) if options.what == "tests" else run_install(options)


if __name__ == "__main__":
    sys.exit(main())
