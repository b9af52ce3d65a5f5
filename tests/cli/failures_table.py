"""docs/guide/failures.md and FAILURES.md beside this stay true: the same failures in both, tests that exist and are played,
metrics that are exported, and every kind of fault that there is stands somewhere.

    failures_table.py BINARY"""

import os
import re
import sys
import urllib.request

import command
from names import tests_of_c
from server import Server

KEY = "key"
PREFIX = "dispatch_"
# Metrics of what goes well; a failure shows in none of them.
OF_WORK = {"http_connections", "http_connections_accepted_total", "http_requests_total", "http_request_bytes",
           "http_answer_bytes", "calls_resident", "calls_ready", "calls_done_total", "calls_cancelled_total",
           "attempts_in_flight", "attempts_total", "submits", "submit_bytes", "store_batches_total", "group_in_flight", "group_ready",
           "groups_left_out", "waits"}


def read(*path):
    with open(os.path.join(command.SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def rows(text):
    """The cells of every row of its tables, but for their heads."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if line.startswith("|") and not set(line) <= set("|- ") and cells[0] != "failure":
            yield cells


def name_of(cell):
    """What is bold in the guide."""
    return re.match(r"\*\*(.+?)\*\*", cell).group(1)


def tests_of_python():
    names = set()
    for folder in ("cli", "conformance"):
        for file in os.listdir(os.path.join(command.SOURCE, "tests", folder)):
            if file.endswith(".py"):
                text = read("tests", folder, file)
                names |= {name for name in re.findall(r"^def (\w+)\(", text, re.M)
                          if len(re.findall(rf"\b{name}\b", text)) > 1 or re.match(r"[qc]\d\d_", name)}
    return names


def exported():
    server = Server(sys.argv[1], KEY, "--memory", "--chaos", "seed=1,drop=1%")
    request = urllib.request.Request(server.url + "/metrics", headers={"Authorization": "Bearer " + KEY})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    assert server.stop() == 0, server.report()
    helped, typed = (set(re.findall(rf"^# {word} {PREFIX}(\w+) \S", text, re.M)) for word in ("HELP", "TYPE"))
    assert helped == typed, helped ^ typed
    return helped


def faults():
    table = re.findall(r'X\(\w+, "([\w-]+)"', read("src", "sim", "dice.h"))
    chaos = re.findall(r'X\(\w+, "([\w-]+)"', read("src", "server", "chaos.h"))
    assert len(table) > 20 and len(chaos) > 4, (table, chaos)
    return set(table) | set(chaos)


def main():
    guide = list(rows(read("docs", "guide", "failures.md")))
    mapping = list(rows(read("tests", "cli", "FAILURES.md")))
    known = tests_of_c(command.SOURCE) | tests_of_python()
    metrics = exported()
    told = set(re.findall(r"`(\w+)(?:\{[^`]*\})?`", " ".join(cells[1] for cells in guide)))
    server_guide = read("docs", "guide", "server.md")
    troubles = [f"FAILURES.md and the guide differ in: {name}"
                for name in {name_of(cells[0]) for cells in guide} ^ {cells[0].replace("**", "") for cells in mapping}]
    for cells in guide:
        troubles += [f"{name_of(cells[0])}: an empty cell" for cell in cells if not cell]
    for name, tests, _ in mapping:
        found = re.findall(r"`(\w+)`", tests)
        troubles += [f"{name}: no test"] if not found else []
        troubles += [f"{name}: there is no test {test}" for test in found if test not in known]
    named = [fault for cells in mapping for fault in cells[2].split()]
    troubles += [f"a fault that there is not, is there twice, or stands nowhere: {fault}"
                 for fault in faults() | set(named) if named.count(fault) != 1 or fault not in faults()]
    failing = re.compile(r"_total$|_failing$|_down$|_limit$|_waiting$|_calls$|_seconds$")
    troubles += [f"the guide tells of a metric that is not exported: {name}"
                 for name in told if failing.search(name) and name not in metrics]
    troubles += [f"no failure shows in {name}; is it one of work?" for name in metrics - told - OF_WORK]
    troubles += [f"docs/guide/server.md does not tell of {name}" for name in metrics
                 if not re.search(rf"`{name}[`{{]", server_guide)]
    print("\n".join(troubles) or f"{len(mapping)} failures, {len(metrics)} metrics, {len(named)} kinds of faults: ok")
    sys.exit(1 if troubles else 0)


main()
