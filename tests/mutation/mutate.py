#!/usr/bin/env python3
"""Deliberate faults, one at a time: does a test notice?

    mutate.py [--sim] [--jobs N] [--only NAME]... [--since REVISION] [--head] [--left]   run mutants, write RESULTS.md
    mutate.py --check                                                                   does every mutant still apply?
    mutate.py --list

The mutants are the tables *.toml beside this script. Each names a file, a text that occurs in it exactly once, what
stands there instead, and the rule it breaks. A mutant is applied to a copy of the tree under build/mutation, never to
the tree itself; what depends on the file is built (-O1, no sanitizers) and the suites whose program it changes run,
quickest first, until one fails. A mutant that does not compile, and a suite that fails without a mutant, are errors.

With --sim it is the simulator alone, without the tests, that is to notice; its results have a column of their own.

--only takes names, parts of them, or files. --since takes the mutants of files that differ from a git revision. --left
takes what has not been run yet or was not caught. --head copies what is committed, not the working tree. Results are
kept in build/mutation/results.json, so a part can be run again."""
import argparse
import concurrent.futures
import hashlib
import io
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCRATCH = ROOT / "build" / "mutation"
# The tests of these names, as ctest knows them; the slow ones without much to say about faults are left out.
SUITES = re.compile(r"^(engine|store|server_driver)_(?!backlog_test|memory_test)|"
                    r"^(power_loss|failed_sync|random_crash)_test$")
EXTRA_SUITES = [  # name, words of the command: {build} and {scratch} are replaced
    ("engine_random_test on a file", ["{build}/tests/engine_random_test", "1", "12", "{scratch}/random.db"]),
]
SIM_SEEDS = 300
SIM = ["{build}/bin/dispatch", "sim", "--seeds", str(SIM_SEEDS), "--jobs", "1"]
# What a simulated server is not made of.
NOT_SIMULATED = re.compile(r"^src/server/|^src/store/store_queue")
TIMEOUT_LEAST_S, TIMEOUT_FACTOR, SIM_TIMEOUT_S = 20, 8, 120
ENVIRONMENT = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="STDOUT")


def load():
    """All mutants, in the order of the tables."""
    mutants = []
    for table in sorted(HERE.glob("*.toml")):
        for mutant in tomllib.loads(table.read_text())["mutant"]:
            missing = {"name", "file", "find", "replace", "breaks"} - mutant.keys()
            if missing:
                sys.exit(f"{table.name}: {mutant.get('name', '?')} has no {', '.join(sorted(missing))}")
            mutants.append(mutant | {"table": table.name})
    names = [mutant["name"] for mutant in mutants]
    for name in {n for n in names if names.count(n) > 1}:
        sys.exit(f"two mutants have the name {name}")
    return mutants


def mutate(text, mutant):
    """The mutated text, or an error message."""
    n = text.count(mutant["find"])
    if n != 1:
        return None, f"{mutant['table']}: {mutant['name']}: its text occurs {n} times in {mutant['file']}, not once"
    if mutant["find"] == mutant["replace"]:
        return None, f"{mutant['table']}: {mutant['name']}: changes nothing"
    return text.replace(mutant["find"], mutant["replace"]), None


def check(mutants):
    """0 when every mutant applies to the tree as it is."""
    errors = []
    for mutant in mutants:
        path = ROOT / mutant["file"]
        error = mutate(path.read_text(), mutant)[1] if path.exists() else f"{mutant['name']}: no file {mutant['file']}"
        if error:
            errors.append(error)
    for error in errors:
        print(error)
    print(f"{len(mutants)} mutants, {len(errors)} do not apply")
    if errors:
        print("Whoever changes a mutated line changes the mutant with it, in tests/mutation/*.toml.")
    return 1 if errors else 0


# ---- copies of the tree ----------------------------------------------------------------------------------------------


def snapshot(from_head):
    """Path -> (bytes, mode) of every file of the tree."""
    files = {}
    if from_head:
        tar = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            for member in archive.getmembers():
                if member.isfile():
                    files[member.name] = (archive.extractfile(member).read(), member.mode)
        return files
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        path = ROOT / name
        if path.is_file():
            files[name] = (path.read_bytes(), path.stat().st_mode & 0o777)
    return files


def write_tree(folder, files):
    """Writes only what differs, so that the next build is small."""
    old = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} if folder.exists() else set()
    for name in old - files.keys():
        (folder / name).unlink()
    for name, (content, mode) in files.items():
        path = folder / name
        if name in old and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)


def run(words, timeout_s, cwd=None):
    """Exit code (None = out of time) and output. The whole process group ends with it."""
    process = subprocess.Popen(words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", env=ENVIRONMENT, start_new_session=True)
    try:
        output = process.communicate(timeout=timeout_s)[0]
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return None, process.communicate()[0]


class Workshop:
    """One copy of the tree with its build folder, for one mutant after the other."""

    def __init__(self, number, files, with_sim):
        self.scratch = SCRATCH / f"workshop-{number}"
        self.tree, self.build = self.scratch / "tree", self.scratch / "build"
        self.files, self.with_sim = files, with_sim
        write_tree(self.tree, files)
        words = ["cmake", "-S", str(self.tree), "-B", str(self.build), "-G", "Ninja", "--log-level=WARNING",
                 "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_C_FLAGS=-O1 -g", "-DDISPATCH_WERROR=OFF"]
        code, output = run(words, 600)
        if code != 0:
            sys.exit(f"cmake fails:\n{output}")
        shown = subprocess.run(["ctest", "--test-dir", str(self.build), "--show-only=json-v1"], check=True,
                               capture_output=True, text=True).stdout
        names = [t["name"] for t in json.loads(shown)["tests"] if SUITES.match(t["name"])]
        self.tests = {name: [f"{self.build}/tests/{name}"] for name in names}
        if not self.tests:
            sys.exit("there are no suites")
        self.targets = ["dispatch"] if with_sim else list(self.tests)
        output = self.make()
        if output:
            sys.exit(f"the tree does not build without a mutant:\n{output[-3000:]}")
        self.sums = {} if with_sim else {words[0]: self.sum(words[0]) for _, words in self.suites()}

    def make(self):
        """None, or the compiler's output."""
        code, output = run(["ninja", "-C", str(self.build), "-j", "2", *self.targets], 900)
        return None if code == 0 else output

    @staticmethod
    def sum(program):
        return hashlib.sha256(pathlib.Path(program).read_bytes()).digest()

    def changed_suites(self):
        """The suites whose program is not what it is without a mutant; the others cannot notice it."""
        return [(name, words) for name, words in self.suites() if self.sum(words[0]) != self.sums[words[0]]]

    def suites(self):
        """(name, words) of everything but the simulator."""
        found = list(self.tests.items())
        found += [(name, self.fill(words)) for name, words in EXTRA_SUITES]
        return found

    def fill(self, words):
        return [w.replace("{build}", str(self.build)).replace("{scratch}", str(self.scratch)) for w in words]


# ---- running ---------------------------------------------------------------------------------------------------------


def failed_test(code, output):
    """What a suite that failed says: the name of the first test, and how."""
    if code is None:
        running = re.findall(r"\[ RUN      \] (.*)", output)
        return f"{running[-1] if running else '?'} (hangs)"
    names = re.findall(r"\[  FAILED  \] (?:memory: |SQLite: )?([a-z_0-9]+)\s*$", output, re.M)
    if names:
        return names[0]
    running = re.findall(r"\[ RUN      \] (?:memory: |SQLite: )?(.*)", output)
    return f"{running[-1] if running else '?'} (the process ends: {'a CHECK' if 'CHECK' in output else code})"


def baseline(workshop):
    """Name -> seconds of everything that is to notice, without a mutant."""
    times = {}
    suites = [("the simulator", workshop.fill(SIM))] if workshop.with_sim else workshop.suites()
    for name, words in suites:
        started = time.monotonic()
        code, output = run(words, 300)
        if code != 0:
            sys.exit(f"{name} fails without a mutant: {failed_test(code, output)}\n{output[-2000:]}")
        times[name] = time.monotonic() - started
    return times


def try_suites(workshop, times):
    for name, words in sorted(workshop.changed_suites(), key=lambda suite: times[suite[0]]):
        code, output = run(words, max(TIMEOUT_LEAST_S, times[name] * TIMEOUT_FACTOR))
        if code != 0:
            return f"{name}: {failed_test(code, output)}"
    return None


def try_sim(workshop):
    code, output = run(workshop.fill(SIM), SIM_TIMEOUT_S)
    if code == 0:
        return "no"
    if code is None:
        return "hangs"
    seed = re.search(r"seed[ =:]*(\d+)", output)
    return f"yes{', seed ' + seed.group(1) if seed else ''}{', a CHECK' if 'CHECK' in output else ''}"


def try_mutant(workshop, mutant, times):
    """The result of one mutant; the workshop's tree is whole again afterwards."""
    path = workshop.tree / mutant["file"]
    original = path.read_text()
    changed, error = mutate(original, mutant)
    if error:
        return {"error": error}
    started = time.monotonic()
    path.write_text(changed)
    try:
        output = workshop.make()
        if output:
            return {"error": f"{mutant['name']} does not compile:\n{output[-1500:]}"}
        result = {"sim": try_sim(workshop)} if workshop.with_sim else {"caught_by": try_suites(workshop, times)}
        return result | {"seconds": round(time.monotonic() - started, 1)}
    finally:
        path.write_text(original)


def choose(mutants, args):
    if args.only:
        mutants = [m for m in mutants if any(word in m["name"] or word in m["file"] for word in args.only)]
    if args.since:
        changed = subprocess.run(["git", "diff", "--name-only", args.since], cwd=ROOT, check=True, capture_output=True,
                                 text=True).stdout.split()
        mutants = [m for m in mutants if m["file"] in changed]
    return mutants


def write_results(mutants, results):
    """RESULTS.md, of all that have been run so far."""
    known = [m for m in mutants if m["name"] in results]
    caught = sum(1 for m in known if results[m["name"]].get("caught_by"))
    by_sim = [m for m in known if results[m["name"]].get("sim")]
    lines = ["# Mutants and what catches them", "",
             "Written by `make mutation` (`mutate.py`). A mutant is one deliberate fault; the tables beside this file say "
             "what each does. One part may be from an earlier run than another.", "",
             f"{len(known)} of {len(mutants)} mutants run, {caught} caught by the tests, {len(known) - caught} "
             "survived."]
    if by_sim:
        n = sum(1 for m in by_sim if results[m["name"]]["sim"] != "no")
        lines += ["", f"The simulator alone, with {SIM_SEEDS} schedules, catches {n} of {len(by_sim)}. Driver and store queue "
                  "are no part of it (-); where nothing stands it has not been asked."]
    lines += ["", "| mutant | file | breaks | caught by | the simulator alone |", "|---|---|---|---|---|"]
    for m in known:
        result = results[m["name"]]
        sim = "-" if NOT_SIMULATED.match(m["file"]) else result.get("sim", "")
        lines.append(f"| {m['name']} | {m['file'].removeprefix('src/')} | {m['breaks']} | "
                     f"{result.get('caught_by') or '**survived**'} | {sim} |")
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", action="append")
    parser.add_argument("--since")
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--sim", action="store_true")
    parser.add_argument("--left", action="store_true")
    args = parser.parse_args()
    mutants = load()
    if args.list:
        for mutant in mutants:
            print(f"{mutant['name']:40} {mutant['file']:36} {mutant['breaks']}")
        return 0
    if args.check:
        return check(mutants)
    chosen = [m for m in choose(mutants, args) if not args.sim or not NOT_SIMULATED.match(m["file"])]
    store = SCRATCH / "results.json"
    results = json.loads(store.read_text()) if store.exists() else {}
    if args.left:
        wanted = "sim" if args.sim else "caught_by"
        chosen = [m for m in chosen if not results.get(m["name"], {}).get(wanted)]
    SCRATCH.mkdir(parents=True, exist_ok=True)
    files = snapshot(args.head)
    workshops = queue.Queue()
    made = [Workshop(i, files, args.sim) for i in range(args.jobs)]
    times = baseline(made[0])
    for workshop in made:
        workshops.put(workshop)
    print(f"{len(chosen)} mutants; {sum(times.values()):.0f} s without one", flush=True)
    lock, errors, survivors = threading.Lock(), [], []

    def work(mutant):
        workshop = workshops.get()
        try:
            result = try_mutant(workshop, mutant, times)
        finally:
            workshops.put(workshop)
        with lock:
            if "error" in result:
                errors.append(result["error"])
                print(f"ERROR     {result['error']}", flush=True)
                return
            results[mutant["name"]] = results.get(mutant["name"], {}) | result
            answer = result["sim"] if args.sim else result["caught_by"]
            is_caught = answer and answer != "no"
            if not is_caught:
                survivors.append(mutant["name"])
            verdict = "caught" if is_caught else "SURVIVED"
            print(f"{verdict:9} {mutant['name']}: {answer} ({result['seconds']} s)", flush=True)
            store.write_text(json.dumps(results, indent=1))
            write_results(mutants, results)

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(work, chosen))
    print(f"{len(chosen)} run, {len(survivors)} survived, {len(errors)} errors"
          + "".join(f"\n    {name}" for name in survivors))
    return 1 if errors or (survivors and not args.sim) else 0


if __name__ == "__main__":
    sys.exit(main())
