"""Flags, environment variables, --help and the documents agree, for every command: flags.py BINARY"""

import glob
import os
import re

import command
from command import SOURCE, dispatch

WRONG = {"DURATION": "soon", "N": "many", "LEVEL": "loud", "": "maybe"}  # by what the help calls the value; "": a switch
UNBOUND = "127.0.0.1:0"


def commands():
    return re.findall(r"^  (\w+) ", dispatch("help")[1], re.M)


def flags(name):
    """(flag, value, variable) of a command, as its help has them."""
    found = []
    for line in dispatch("help", name)[1].splitlines():
        flag = re.match(r"  --([a-z-]+) ?([A-Z:a-z|]*)", line)
        variable = re.fullmatch(r" +(DISPATCH_\w+)", line)
        if flag:
            found.append([flag.group(1), flag.group(2), None])
        elif variable:
            found[-1][2] = variable.group(1)
    return found


def wrong_value(value):
    return "neither" if "|" in value else WRONG.get(value)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def user_documents():
    return [os.path.join(SOURCE, "README.md"), *glob.glob(os.path.join(SOURCE, "docs", "guide", "*.md"))]


def every_command_has_the_same_help_in_three_ways():
    assert len(commands()) >= 6
    for name in commands():
        text = dispatch("help", name)
        assert text[0] == 0 and text[1].startswith("usage: dispatch " + name) and not text[2], text
        assert dispatch(name, "--help") == dispatch(name, "-h") == text, name


def every_flag_of_serve_has_its_variable():
    found = flags("serve")
    assert len(found) >= 14
    for flag, _, variable in found:
        assert variable == "DISPATCH_" + flag.upper().replace("-", "_"), (flag, variable)


def flag_and_variable_are_read_by_the_same_rules():
    n_checked = 0
    for name in commands():
        for flag, value, variable in flags(name):
            wrong = wrong_value(value)
            if not wrong:
                continue
            code, _, text = dispatch(name, f"--{flag}={wrong}")
            assert code == 2 and text.startswith(f'dispatch {name}: --{flag}: "{wrong}" is not '), text
            if variable:
                n_checked += 1
                code, _, other = dispatch(name, **{variable: wrong})
                assert code == 2 and other == text.replace("--" + flag, variable, 1), other
    assert n_checked >= 11


def texts_come_from_flag_or_variable():
    for code, _, text in dispatch("serve", "--listen", "nowhere"), dispatch("serve", DISPATCH_LISTEN="nowhere"):
        assert code == 2 and '"nowhere" is not ADDRESS:PORT' in text, text
    for code, _, text in (dispatch("serve", "--db", "/dev/null/x", "--listen", UNBOUND),
                          dispatch("serve", DISPATCH_DB="/dev/null/x", DISPATCH_LISTEN=UNBOUND)):
        assert code == 1 and "/dev/null/x" in text, text
    for code, _, text in (dispatch("list", "--api-url", "http://127.0.0.1:1"),
                          dispatch("list", DISPATCH_API_URL="http://127.0.0.1:1"),
                          dispatch("list", "--api-url", "http://127.0.0.1:1", DISPATCH_API_URL="http://127.0.0.1:2")):
        assert code == 1 and text.startswith("dispatch list: http://127.0.0.1:1: "), text


def keys_come_from_flags_or_variable():
    from server import Process
    env = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_")}
    for arguments, more in ((["--api-key", "one", "--api-key=two"], {}), ([], {"DISPATCH_API_KEY": "one,two"})):
        server = Process([command.sys.argv[1], "serve", "--memory", "--listen", UNBOUND, *arguments], {**env, **more})
        url = server.wait_for(r"http://\S+", command.TIMEOUT_S).group(0)
        for key, code in ("one", 0), ("two", 0), ("three", 1):
            assert dispatch("list", DISPATCH_API_URL=url, DISPATCH_API_KEY=key)[0] == code, (arguments, key)
        server.process.terminate()
        assert server.wait(command.TIMEOUT_S) == 0, server.report()
        assert "export" not in server.report()


def documents_name_flags_and_variables_that_there_are():
    known = {flag for name in commands() for flag, _, _ in flags(name)}
    variables = {variable for name in commands() for _, _, variable in flags(name)}
    for path in glob.glob(os.path.join(SOURCE, "src", "sdk", "*.c")):
        variables |= set(re.findall(r'"(DISPATCH_[A-Z_]+)"', read(path)))
    for path in user_documents():
        text = re.sub(r"\$\(pkg-config [^)]*\)", "", read(path))
        for flag in re.findall(r"(?<![\w-])--([a-z][a-z-]+)", text):
            assert flag in known, (path, flag)
    for path in user_documents() + glob.glob(os.path.join(SOURCE, "include", "dispatchrun", "*.h")):
        for variable in re.findall(r"\bDISPATCH_[A-Z_]+\b", read(path)):
            assert variable in variables, (path, variable)


command.play([every_command_has_the_same_help_in_three_ways, every_flag_of_serve_has_its_variable,
              flag_and_variable_are_read_by_the_same_rules, texts_come_from_flag_or_variable,
              keys_come_from_flags_or_variable, documents_name_flags_and_variables_that_there_are])
