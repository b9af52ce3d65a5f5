"""Programs of the unmodified Python package dispatch-py 0.8.0 against the server.

    run.py --server build/bin/dispatch --work FOLDER [--reference] [PROGRAM...]

makes a virtual environment with the package in FOLDER, runs every program (or the named ones) with a server that keeps
its calls in memory and with one that has a database, once through a crash of the server and once through a crash of the
program, and prints one line for each. With
--reference the stand-in server of the package takes the place of ours: what a program does there is what it must do
here. Exit code 77 when the package cannot be had."""

import argparse
import os
import subprocess
import sys
import time

from endpoint import Api
from server import Process, Server, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
KEY = "916CC3D280BB46DDBDA984B3DD10059A"  # the constant of the package's stand-in
REQUIREMENTS = ["dispatch-py==0.8.0", "http-message-signatures<1.0"]
SKIPPED = 77
PROGRAM_TIMEOUT_S = 120
INT_210 = b"\x08\xd2\x01"  # as an Int64Value

INVALID_KEY = "Dispatch received an invalid authentication token (check %s is correct)"
EXPECTED = {
    "gather_twenty": "210",
    "retry_temporary": "SUCCESS 7",
    "nest_and_raise": "20\ncaught one\nwent through two",
    "any_and_race": "b\n2 coroutine(s) failed with an exception\nquick\n[['0a', '0b'], ['1a', '1b'], ['2a', '2b']]",
    "merge_sort": "True",
    "batch_hundred": "100 True",
    "wrong_key": INVALID_KEY % "api_key" + "\n" + INVALID_KEY % "DISPATCH_API_KEY",
    "reset": "reset 3 times\nstarts 0, starts 1, starts 2, ends",
    "empty_gather": "1",
    "test_case": None,  # judged by its exit code
}
NOT_FOR_THE_REFERENCE = {"any_and_race", "reset", "empty_gather"}


def skip(why):
    print(f"SKIPPED: dispatch-py 0.8.0 cannot be had: {why}")
    sys.exit(SKIPPED)


def environment_python(work):
    """The interpreter of a virtual environment that has the package."""
    if sys.version_info < (3, 11):
        skip("it needs Python 3.11 or newer, this is " + sys.version.split()[0])
    folder = os.path.join(work, "venv")
    python = os.path.join(folder, "bin", "python")
    stamp = os.path.join(folder, "complete")
    if os.path.exists(stamp):
        return python
    for command in ([sys.executable, "-m", "venv", "--clear", folder],
                    [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1",
                     "--timeout", "15", *REQUIREMENTS]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            skip((done.stdout.strip().splitlines() or ["no output"])[-1])
    with open(stamp, "w"):
        pass
    return python


class Programs:
    def __init__(self, python, names):
        self.python = python
        self.names = names
        self.n_passed = 0
        self.failed = []

    def start(self, name, url, port=None, **more):
        port = port or free_port()
        env = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_")}
        env.update(DISPATCH_API_KEY=KEY, DISPATCH_API_URL=url, DISPATCH_ENDPOINT_URL=f"http://127.0.0.1:{port}",
                   DISPATCH_ENDPOINT_ADDR=f"127.0.0.1:{port}", PYTHONUNBUFFERED="1", **more)
        return Process([self.python, os.path.join(HERE, "programs", name + ".py")], env)

    def judge(self, label, process, expected, started):
        try:
            code = process.wait(PROGRAM_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = f"none within {PROGRAM_TIMEOUT_S} s"
        is_right = code == 0 and (expected is None or process.output() == expected)
        self.say(label, is_right, started,
                 f"exit code {code}, expected output {expected!r}, output:\n{process.report()}")

    def say(self, label, is_right, started, trouble):
        print(f"{'ok    ' if is_right else 'FAILED'} {label} ({time.monotonic() - started:.1f} s)", flush=True)
        if is_right:
            self.n_passed += 1
        else:
            self.failed.append(label)
            print("  " + trouble, flush=True)

    def run(self, label, name, url):
        started = time.monotonic()
        self.judge(label, self.start(name, url), EXPECTED[name], started)

    def run_all(self, where, url):
        for name in self.names:
            self.run(f"{name}, {where}", name, url)

    def run_with_slash(self, where, url):
        if "gather_twenty" in self.names:
            self.run(f"gather_twenty, {where}, API URL with a slash at its end", "gather_twenty", url + "/")

    def run_through_crash(self, binary, work):
        """The server dies between the quick and the slow half of a gather, and comes back on its database."""
        database, gate = os.path.join(work, "crash.db"), os.path.join(work, "crash.gate")
        remove(database, gate)
        started = time.monotonic()
        server = Server(binary, KEY, "--db", database)
        program = self.start("crash_gather", server.url, GATE=gate)
        try:
            program.wait_for("half", PROGRAM_TIMEOUT_S)
        finally:
            server.kill()
        server = Server(binary, KEY, "--db", database, port=server.port)
        with open(gate, "w"):
            pass
        self.judge("gather_twenty, server killed in the middle", program, "half\n210", started)
        self.stop(server, "killed and restarted server")

    def run_through_move(self, binary, work):
        """The program dies instead, and another instance of it takes over."""
        gate = os.path.join(work, "move.gate")
        remove(gate)
        started = time.monotonic()
        server = Server(binary, KEY, "--memory")
        port = free_port()
        first = self.start("moved_gather", server.url, port, GATE=gate)
        id = first.wait_for("[0-9a-f]{32}", PROGRAM_TIMEOUT_S).group(0)
        first.wait_for("half", PROGRAM_TIMEOUT_S)
        first.kill()
        with open(gate, "w"):
            pass
        second = self.start("moved_gather", server.url, port, GATE=gate)
        result = Api(server.port, KEY).wait(id)
        second.kill()
        self.say("gather_twenty, program killed in the middle", result.get("output", {}).get("value") == INT_210, started,
                 f"result {result}, output:\n{second.report()}")
        self.stop(server, "server of the killed program")

    def stop(self, server, label):
        code = server.stop()
        if code == 0:
            return
        self.failed.append(label + " stops cleanly")
        print(f"FAILED {label} stops cleanly: exit code {code}, output:\n{server.report()}", flush=True)


def remove(*files):
    for file in files:
        for name in file, file + "-wal", file + "-shm":
            if os.path.exists(name):
                os.remove(name)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", metavar="BINARY")
    parser.add_argument("--work", metavar="FOLDER", required=True)
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", choices=[[], *EXPECTED])
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    programs = Programs(environment_python(options.work), options.programs or list(EXPECTED))

    if options.reference:
        programs.names = [name for name in programs.names if name not in NOT_FOR_THE_REFERENCE]
        server = Process([programs.python, os.path.join(HERE, "reference_server.py")])
        programs.run_all("reference", server.wait_for("http://[^ \n]+", 60).group(0))
        server.kill()
    else:
        database = os.path.join(options.work, "conformance.db")
        remove(database)
        for where, store in ("memory", ["--memory"]), ("database", ["--db", database]):
            server = Server(options.server, KEY, *store)
            programs.run_all(where, server.url)
            programs.run_with_slash(where, server.url)
            programs.stop(server, f"server, {where}")
        if not options.programs:
            programs.run_through_crash(options.server, options.work)
            programs.run_through_move(options.server, options.work)

    if programs.failed:
        print(f"{len(programs.failed)} failed, {programs.n_passed} passed: " + "; ".join(programs.failed))
        return 1
    print(f"all {programs.n_passed} passed")
    return 0


sys.exit(main())
