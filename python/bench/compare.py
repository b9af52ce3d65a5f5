"""This package against the original, dispatch-py 0.8.0, on this machine, in one run: medians of several, and their ratio.

    compare.py --ours PYTHON --site SITE --original PYTHON [--rounds 3]

--ours: an interpreter with the dependencies, SITE: where the package is. --original: one that has the original."""

import argparse
import json
import os
import statistics
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
LOADERS = 2
CONNECTIONS = 16
SECONDS = 3.0
MAKE_REQUEST = """
from dispatch.any import marshal_any
from dispatch.proto import Arguments
from dispatch.sdk.v1.function_pb2 import RunRequest
run = RunRequest(function="welcome", input=marshal_any(Arguments(("World",), {})), dispatch_id="00000000",
                 root_dispatch_id="00000000")
print(run.SerializeToString().hex())
"""


class Package:
    def __init__(self, name: str, python: str, site: str | None):
        self.name = name
        self.python = python
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("DISPATCH_", "PYTHON"))}
        if site:
            self.environment["PYTHONPATH"] = site

    def output(self, *words: str) -> str:
        command = [self.python, *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    def programs(self) -> dict[str, float]:
        return json.loads(self.output(os.path.join(HERE, "programs.py")).splitlines()[-1])

    def endpoint(self) -> float:
        """Answers per second."""
        request = self.output("-c", MAKE_REQUEST).strip()
        command = [self.python, os.path.join(HERE, "endpoint.py")]
        with subprocess.Popen(command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None and server.stdin is not None
            port = server.stdout.readline().decode().strip()
            load = [self.python, os.path.join(HERE, "load.py"), port, str(CONNECTIONS), str(SECONDS), request]
            firsts = [str(10_000_000 * (i + 1)) for i in range(LOADERS)]
            loaders = [subprocess.Popen([*load, first], stdout=subprocess.PIPE, text=True) for first in firsts]
            rates = [float(loader.communicate()[0]) for loader in loaders]
            server.stdin.close()
            server.wait()
        return sum(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--site")
    parser.add_argument("--original", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ours, original = Package("ours", options.ours, options.site), Package("original", options.original, None)
    rates: dict[str, dict[str, list[float]]] = {}
    for _ in range(options.rounds):
        for package in (original, ours):
            measured = {**package.programs(), "endpoint alone": package.endpoint()}
            for name, rate in measured.items():
                rates.setdefault(name, {}).setdefault(package.name, []).append(rate)
    print(f"{'calls per second, median of ' + str(options.rounds):32} {'original':>10} {'ours':>10} {'ratio':>8}")
    for name, by_package in rates.items():
        a, b = (statistics.median(by_package[package]) for package in ("original", "ours"))
        print(f"{name:32} {a:10.0f} {b:10.0f} {b / a:7.1f}x")


if __name__ == "__main__":
    main()
