"""QUIRKS.md and CHOICES.md say which test shows which quirk, line and choice. This checks that none is missing there, that
the tests exist and are run, and that those of quirks.py and checklist.py all stand there.

    names.py SOURCE_DIR"""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
N_QUIRKS, N_LINES, N_CHOICES = 30, 13, 22  # docs/protocol.md 13.1, 13.2, 14


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def rows(text):
    """First and last cell of every row of the tables."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and re.fullmatch(r"Q?\d+", cells[0]):
            yield cells[0], cells[-1]


def tests_of_c(source):
    """Names that a list of cmocka tests mentions."""
    names = set()
    for folder in "src", "tests":
        for path, _, files in os.walk(os.path.join(source, folder)):
            for file in files:
                if file.endswith("_test.c"):
                    text = read(os.path.join(path, file))
                    names |= {name for name in re.findall(r"static void (\w+)\(void \*\*\w+\)", text)
                              if len(re.findall(rf"\b{name}\b", text)) > 1}
    return names


def check(document, ids, known):
    troubles = []
    found = dict(rows(document))
    for id in ids:
        shown = found.get(id, "")
        names = re.findall(r"`(\w+)`", shown)
        refers = re.search(r"\bQ\d+\b", shown)
        if not shown:
            troubles.append(f"{id} is missing")
        elif not names and not refers and not re.match(r"none( yet)?: .", shown):
            troubles.append(f"{id}: no test, and no reason why not")
        troubles += [f"{id}: there is no test {name}" for name in names if name not in known]
    return troubles


def main():
    source = sys.argv[1]
    quirks, choices = read(os.path.join(HERE, "QUIRKS.md")), read(os.path.join(HERE, "CHOICES.md"))
    played = set()
    for file in "quirks.py", "checklist.py":
        played |= set(re.findall(r"^def ([qc]\d\d_\w+)", read(os.path.join(HERE, file)), re.M))
    programs = {name[:-3] for name in os.listdir(os.path.join(HERE, "programs")) if name.endswith(".py")}
    known = played | programs | tests_of_c(source)

    troubles = check(quirks, [f"Q{n}" for n in range(1, N_QUIRKS + 1)], known)
    troubles += check(quirks, [str(n) for n in range(1, N_LINES + 1)], known)
    troubles += check(choices, [str(n) for n in range(1, N_CHOICES + 1)], known)
    troubles += [f"{name} stands nowhere" for name in sorted(played) if f"`{name}`" not in quirks + choices]
    for name in sorted(played):
        id = ("Q%d" if name[0] == "q" else "%d") % int(name[1:3])
        if f"`{name}`" not in dict(rows(quirks)).get(id, ""):
            troubles.append(f"{name} does not stand in the row of {id}")
    print("\n".join(troubles) or f"{N_QUIRKS} quirks, {N_LINES} lines, {N_CHOICES} choices: all have their tests")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
