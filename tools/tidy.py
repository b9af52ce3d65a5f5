#!/usr/bin/env python3
"""The house rules that a compiler does not check. Prints file:line: what is wrong; exit status 1 on an error.

    tidy.py [BUILD]             the whole project; BUILD/lib/libdispatchrun.so if it is there
    tidy.py --exports LIBRARY   only the names that this library exports

Checked: the layers of the design (who may include whom), banned calls, contract comments at the head of headers,
unfinished work, paths of one machine, that every public header stands alone as C11 and C++17, that the shared library
exports dr_ names only, that ARCHITECTURE.md names functions that exist, and that what is cited of docs/protocol.md
("protocol 4.3", "Q5") is there. Long files and functions are warnings: they ask for a look, not for a rule.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# DESIGN section 3: a folder may include itself, the public headers and these.
MAY_INCLUDE = {
    "base": set(),
    "wire": {"base"},
    "store": {"base"},
    "engine": {"base", "wire"},
    "http": {"base", "wire"},
    "sdk": {"base", "wire", "http"},
    "server": {"base", "wire", "http", "engine", "store"},
    "sim": {"base", "wire", "engine", "store"},
    "cli": {"base", "wire", "http", "engine", "store", "server", "sim"},
}
# The test mode embeds the server; nothing else of the SDK may know it. A test may set its scene with anything below.
EXCEPTIONS = {("sdk/test", "server"), ("sdk/test", "store"), ("sdk/test", "engine")}
# The engine takes the types and checks of wire, not its codecs, and the world reaches it only as events.
ENGINE_WIRE_HEADERS = {"wire/types.h", "wire/wire.h"}
ENGINE_BANNED_HEADERS = re.compile(r"<(uv|curl/|sqlite3|pthread|threads|sys/socket|unistd|sys/time)\b")
ENGINE_BANNED_RE = re.compile(r"(?<![\w.>])(clock_real_ns|clock_monotonic_ns|random_init_from_system|"
                              r"random_system_bytes|time|clock_gettime|gettimeofday)\s*\(")

BANNED_CALLS = "strcpy strcat sprintf vsprintf gets strtok atoi atol alloca".split()
HEAP_CALLS = "malloc calloc realloc free strdup strndup asprintf vasprintf".split()
# These may print and exit: the command, the main of a test program, CHECK, whose process is broken anyway, and the
# simulator's child processes, which are all its own.
TALKATIVE = ("src/cli/", "src/sdk/test_main.c", "src/base/check.c", "src/sim/child.c", "src/sim/runner.c")
BANNED_RE = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED_CALLS))
HEAP_RE = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(HEAP_CALLS))
PRINT_RE = re.compile(r"(?<![\w.>])(printf|fprintf|vfprintf|puts|fputs|putchar|perror|exit|_exit|abort)\s*\(")
SLEEP_RE = re.compile(r"(?<![\w.>])(sleep|usleep|nanosleep)\s*\(")
UNFINISHED_RE = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
HOME_RE = re.compile(r"(?<![\w.$}])/(home|Users|root|work)/[A-Za-z]")
INCLUDE_RE = re.compile(r'^\s*#\s*include\s+(["<][^">]+[">])')

# "protocol 4.3", "protocol 1.2 and 4.1", "docs/protocol.md 7"; a bare "protocol 4" may be somebody else's.
CITED_RE = re.compile(r"\bprotocol (\d+\.\d+(?:(?:,| and) \d+\.\d+)*)|\bprotocol\.md (\d+(?:\.\d+)?)")
QUIRK_RE = re.compile(r"\bQ\d+\b")
PROTOCOL = "docs/protocol.md"

FILE_LINES_WARN, FUNCTION_LINES_WARN, COLUMNS_MAX = 400, 60, 120

errors, warnings = [], []


def error(path, line, text):
    errors.append(f"{path}:{line}: {text}")


def warn(path, line, text):
    warnings.append(f"{path}:{line}: {text} (warning)")


def project_files():
    """Tracked files and new ones that git does not ignore; without git, every file outside the build folder."""
    git = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if git.returncode == 0:
        return sorted(p for p in set(git.stdout.splitlines()) if os.path.isfile(os.path.join(ROOT, p)))
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in (".git", "build")]
        found += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def without_comments_and_strings(text):
    """Same lines, with the insides of comments, strings and characters blanked."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def is_test(path):
    return path.endswith(("_test.c", "testing.h")) or path.startswith(("tests/", "bench/", "fuzz/", "examples/"))


def check_layers(path, text):
    parts = path.split("/")
    if parts[0] != "src" or parts[1] not in MAY_INCLUDE:
        return
    layer = parts[1]
    is_in_sdk_test = layer == "sdk" and (parts[2].startswith("test") or is_test(path))
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE_RE.match(line)
        if not match:
            continue
        name = match.group(1)
        target = name[1:-1].split("/")[0] if name[0] == '"' else ""
        if target in MAY_INCLUDE and target != layer and target not in MAY_INCLUDE[layer]:
            if not (is_in_sdk_test and ("sdk/test", target) in EXCEPTIONS):
                error(path, number, f"{layer} must not include {name[1:-1]} (design, section 3)")
        if layer == "engine" and not is_test(path):
            if target == "wire" and name[1:-1] not in ENGINE_WIRE_HEADERS:
                error(path, number, f"the engine may include only the types of wire, not {name[1:-1]}")
            if ENGINE_BANNED_HEADERS.match(name):
                error(path, number, f"the engine does no I/O, threads or time of its own: {name}")


def check_calls(path, code):
    for number, line in enumerate(code.splitlines(), 1):
        for match in BANNED_RE.finditer(line):
            error(path, number, f"{match.group(1)}() is banned")
        if path.startswith("src/") and not is_test(path) and path != "src/base/mem.c":
            for match in HEAP_RE.finditer(line):
                error(path, number, f"{match.group(1)}(): the heap is reached through base/mem.h")
        if path.startswith("src/") and not is_test(path) and not path.startswith(TALKATIVE):
            for match in PRINT_RE.finditer(line):
                error(path, number, f"{match.group(1)}(): only the command prints and exits")
        if path.startswith("src/engine/") and not is_test(path):
            for match in ENGINE_BANNED_RE.finditer(line):
                error(path, number, f"{match.group(1)}(): the engine has no clock and no randomness of its own")
        if path.endswith("_test.c"):
            for match in SLEEP_RE.finditer(line):
                error(path, number, f"{match.group(1)}(): a test waits for a condition, it does not sleep")


def check_header(path, text):
    if not text.startswith("/*"):
        error(path, 1, "a header starts with its contract: a comment that says what it is and who calls it")
    if not re.search(r"^#ifndef (\w+)\n#define \1$", text, re.M):
        error(path, 1, "no include guard")


def check_text(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED_RE.search(line):
            error(path, number, "unfinished work: finish it or write it down as an issue")
        if HOME_RE.search(line):
            error(path, number, "a path of one machine")
        if not line.isascii():
            error(path, number, "not plain ASCII")
        if path.endswith((".c", ".h")):
            if "\t" in line:
                error(path, number, "a tab")
            if line != line.rstrip():
                error(path, number, "space at the end of the line")
            if len(line) > COLUMNS_MAX:
                warn(path, number, f"longer than {COLUMNS_MAX} columns")


def check_citations(path, text):
    """`engine/poll.c:poll_suspend` in ARCHITECTURE.md: the file is there and names the function."""
    for number, line in enumerate(text.splitlines(), 1):
        for name, function in re.findall(r"`(\w+/\w+\.[ch])(?::(\w+))?`", line):
            if os.path.isfile(os.path.join(ROOT, name)):
                continue
            if not os.path.isfile(os.path.join(ROOT, "src", name)):
                error(path, number, f"there is no src/{name}")
            elif function and not re.search(rf"^[^\s/*].*\b{function}\(", read(f"src/{name}"), re.M):
                error(path, number, f"src/{name} has no function {function}")


def protocol_sections():
    """The numbers of sections and the names of quirks that docs/protocol.md has."""
    text = read(PROTOCOL)
    sections = re.findall(r"^(?:#+ |\*\*)(\d+(?:\.\d+)?)\b", text, re.M)
    return set(sections + re.findall(r"^\| (Q\d+) \|", text, re.M))


def check_protocol_citations(path, text, known):
    for number, line in enumerate(text.splitlines(), 1):
        cited = QUIRK_RE.findall(line)
        for several, one in CITED_RE.findall(line):
            cited += re.findall(r"\d+(?:\.\d+)?", several or one)
        for name in cited:
            if name not in known:
                error(path, number, f"{PROTOCOL} has no {name}")


def check_sizes(path, text):
    lines = text.splitlines()
    if len(lines) > FILE_LINES_WARN and not is_test(path):
        warn(path, 1, f"{len(lines)} lines")
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start - 1 > FUNCTION_LINES_WARN:
                warn(path, start, f"a function of {number - start - 1} lines")
            start = None


def check_public_headers(headers):
    """Each public header compiles alone, as C11 and as C++17, with every compiler that is there."""
    jobs = []
    with tempfile.TemporaryDirectory() as folder:
        for header in headers:
            for name, standard in (("gcc", "c11"), ("clang", "c11"), ("g++", "c++17"), ("clang++", "c++17")):
                if shutil.which(name):
                    suffix = "c" if standard == "c11" else "cc"
                    source = os.path.join(folder, f"{header.replace('/', '_')}.{suffix}")
                    with open(source, "w", encoding="ascii") as file:
                        file.write(f"#include <{header[len('include/'):]}>\n")
                    jobs.append((header, [name, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                                          "-fsyntax-only", "-I", os.path.join(ROOT, "include"), source]))
        with ThreadPoolExecutor(max_workers=3) as pool:
            runs = pool.map(lambda job: (job, subprocess.run(job[1], capture_output=True, text=True)), jobs)
            for (header, command), run in runs:
                if run.returncode:
                    first = next((x for x in run.stderr.splitlines() if "error" in x), run.stderr.strip()[:200])
                    error(header, 1, f"does not compile alone with {command[0]} {command[1]}: {first}")


def check_exports(library):
    if not os.path.exists(library) or not shutil.which("nm"):
        return
    names = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library],
                           capture_output=True, text=True, check=True).stdout
    for line in names.splitlines():
        name, kind = line.split()[:2]
        name = name.split("@")[0]
        if kind == "A":  # the name of a version, not of a symbol
            continue
        if not name.startswith(("dr_", "__odr_asan", "__asan", "__ubsan")) and name not in ("_init", "_fini"):
            error(os.path.basename(library), 1, f"exports {name}, which is not a dr_ name")


def check_public_names(path, text):
    """What a public header defines belongs to dr_ or DR_."""
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*#\s*define\s+(\w+)", line)
        if match and not match.group(1).startswith(("DR_", "dr_", "DISPATCHRUN_")) and match.group(1) != "X":
            error(path, number, f"a public macro without DR_: {match.group(1)}")


def check_project(build):
    files = project_files()
    known = protocol_sections()
    for path in files:
        if path == "LICENSE" or not re.search(
                r"(\.(c|h|py|pyi|sh|md|cmake|txt|proto|toml)|Makefile|/run)$", path):
            continue
        text = read(path)
        check_text(path, text)
        check_protocol_citations(path, text, known)
        if path == "ARCHITECTURE.md":
            check_citations(path, text)
        if path.endswith((".c", ".h")):
            code = without_comments_and_strings(text)
            check_layers(path, text)
            check_calls(path, code)
            check_sizes(path, text)
            if path.endswith(".h"):
                check_header(path, text)
            if path.startswith("include/"):
                check_public_names(path, text)
    check_public_headers([p for p in files if p.startswith("include/") and p.endswith(".h")])
    check_exports(os.path.join(ROOT, build, "lib", "libdispatchrun.so"))
    return report(len(files))


def report(n_files):
    for line in warnings + errors:
        print(line)
    print(f"tidy: {len(errors)} errors, {len(warnings)} warnings in {n_files} files")
    return 1 if errors else 0


def main(arguments):
    if arguments[:1] == ["--exports"]:
        check_exports(arguments[1])
        return report(1)
    return check_project(arguments[0] if arguments else "build")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
