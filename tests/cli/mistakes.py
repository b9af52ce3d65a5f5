"""What people do wrong with the command, and what it answers: what was wrong, and what to do. mistakes.py BINARY"""

import os
import sqlite3

import command
from command import dispatch
from endpoint import DISPATCH, Api
from server import Server

KEY = "key"
ANY = "127.0.0.1:0"
MISSING_ID = "0123456789abcdef0123456789abcdef"


def refused(code, text, *arguments, **variables):
    got, output, errors = dispatch(*arguments, **variables)
    assert (got, output) == (code, "") and errors.rstrip("\n") == text, f"{arguments}: {got}\n{output}{errors}\nnot: {text}"


def with_server(test, *options):
    server = Server(command.sys.argv[1], KEY, *(options or ["--memory"]))
    try:
        test(server)
    finally:
        assert server.stop() == 0


def words_that_are_no_command():
    refused(2, 'dispatch: unknown command "servr"; did you mean "serve"?\n`dispatch help` lists the commands.', "servr")
    refused(2, 'dispatch: unknown command "x"\n`dispatch help` lists the commands.', "x")
    refused(2, 'dispatch help: there is no command "x"', "help", "x")
    code, output, _ = dispatch()
    assert code == 2 and output.startswith("dispatch: durable function calls")


def flags_that_are_wrong():
    tells = "\n`dispatch help serve` tells more."
    refused(2, "dispatch serve: unknown flag --lisen; did you mean --listen?" + tells, "serve", "--lisen", "x")
    refused(2, "dispatch serve: unknown flag --frob" + tells, "serve", "--frob")
    refused(2, "dispatch serve: --listen: a value is missing: --listen ADDRESS:PORT" + tells, "serve", "--listen")
    refused(2, 'dispatch serve: --log-level: "loud" is not one of debug, info, warn, error' + tells, "serve",
            "--log-level", "loud")
    refused(2, "dispatch get: ID is missing\n`dispatch help get` tells more.", "get")


def an_address_that_cannot_be_listened_on():
    advice = "\n--listen names another address; its port 0 picks a free one."

    def in_use(server):
        address = f"127.0.0.1:{server.port}"
        refused(1, f"dispatch serve: listen on {address}: address already in use" + advice, "serve", "--memory",
                "--listen", address)
    with_server(in_use)
    refused(1, "dispatch serve: listen on 192.0.2.1:7117: address not available" + advice, "serve", "--memory", "--listen",
            "192.0.2.1:7117")


def files_that_are_no_database():
    advice = "\n--db names a file that can be written, in a folder that is there, on a disk with room; --memory needs none."

    def refuses(file, trouble):
        refused(1, f"dispatch serve: open store: {file}{trouble}" + advice, "serve", "--db", file, "--listen", ANY)

    refuses("nowhere/x.db", ": unable to open database file: No such file or directory")
    os.mkdir("folder")
    refuses("folder", ": unable to open database file: Is a directory")
    with open("text", "w", encoding="ascii") as file:
        file.write("a text of somebody\n" * 100)
    refuses("text", " is not a database of dispatch")
    other = sqlite3.connect("other.db")
    other.execute("CREATE TABLE theirs(a)")
    other.close()
    refuses("other.db", " is not a database of dispatch")

    def in_use(_):
        refuses("ours.db", " is in use by another server")
    with_server(in_use, "--db", "ours.db")
    newer = sqlite3.connect("ours.db")
    version = newer.execute("PRAGMA user_version").fetchone()[0]
    newer.execute("PRAGMA user_version=99")
    newer.commit()
    newer.close()
    refuses("ours.db", f" has schema version 99, this dispatch knows {version}: use a newer dispatch")


def a_server_that_is_not_there():
    hint = "; is a server there? (--api-url, DISPATCH_API_URL)"
    for url in "http://127.0.0.1:1", "nowhere.invalid", "http://nowhere.invalid":
        code, output, errors = dispatch("list", DISPATCH_API_URL=url)
        assert (code, output) == (1, "") and errors.startswith(f"dispatch list: {url}: "), errors
        assert errors.endswith(hint + "\n"), errors

    def other_path(server):
        url = f"http://127.0.0.1:{server.port}/console"
        refused(1, f"dispatch list: {url} is not the URL of a server's API: --api-url or DISPATCH_API_URL", "list",
                "--api-url", url, "--api-key", KEY)
        url = f"https://127.0.0.1:{server.port}"
        code, _, errors = dispatch("list", "--api-url", url, "--api-key", KEY)
        assert code == 1 and url in errors and errors.endswith(hint + "\n"), errors
    with_server(other_path)


def a_key_that_is_wrong():
    def ask(server):
        url = f"http://127.0.0.1:{server.port}"
        refused(1, f"dispatch list: {url} wants an API key: --api-key or DISPATCH_API_KEY", "list", "--api-url", url)
        refused(1, f"dispatch list: {url} takes another API key: --api-key or DISPATCH_API_KEY", "list", "--api-url", url,
                DISPATCH_API_KEY="wrong")
    with_server(ask)


def a_call_that_is_not_there():
    def ask(server):
        env = {"DISPATCH_API_URL": f"http://127.0.0.1:{server.port}", "DISPATCH_API_KEY": KEY}
        for name in "get", "cancel":
            for id in MISSING_ID, "nonsense":
                refused(1, f"dispatch {name}: not_found: there is no call with this id: {id}", name, id, **env)
        refused(1, f"dispatch cancel: not_found: there is no call with this id: a\n"
                   f"dispatch cancel: not_found: there is no call with this id: b", "cancel", "a", "b", **env)
        code, _, errors = dispatch("list", "--state", "asleep", **env)
        assert code == 1 and "state is not one of scheduled, running" in errors, errors
    with_server(ask)


def text_that_is_no_utf8():
    """It is not left out: a list without its filter would show every call."""
    def ask(server):
        env = {"DISPATCH_API_URL": f"http://127.0.0.1:{server.port}", "DISPATCH_API_KEY": KEY}
        for arguments in ("get", b"\xff"), ("cancel", b"\xff"), ("list", b"--function=\xff"):
            code, output, errors = dispatch(*arguments, **env)
            assert (code, output) == (1, "") and "not UTF-8 text" in errors, (arguments, output, errors)
    with_server(ask)


def an_endpoint_that_is_not_there():
    """`get` and `list` say why a call does not get on."""
    def ask(server):
        env = {"DISPATCH_API_URL": f"http://127.0.0.1:{server.port}", "DISPATCH_API_KEY": KEY}
        api = Api(server.port, KEY)
        status, _, body = api.post(DISPATCH, b'{"calls":[{"endpoint":"localhost:8000","function":"f"}]}',
                                   Content_Type="application/json")
        assert status == 400 and b"Call endpoint must be a http" in body, body
        [id] = api.dispatch({"endpoint": "http://127.0.0.1:1", "function": "greet"})
        cause = "http://127.0.0.1:1: no connection to 127.0.0.1 port 1: connection refused"
        shown = ""
        while "lastError" not in shown:
            code, shown, _ = dispatch("get", id, **env)
            assert code == 0
        assert cause in shown and "STATUS_TCP_ERROR" in shown and "\nwhy " in shown, shown
        listed = dispatch("list", **env)[1]
        assert id in listed and cause in listed, listed
        assert dispatch("cancel", id, **env) == (0, "", "")
    with_server(ask)


command.play([words_that_are_no_command, flags_that_are_wrong, an_address_that_cannot_be_listened_on,
              files_that_are_no_database, a_server_that_is_not_there, a_key_that_is_wrong, a_call_that_is_not_there, text_that_is_no_utf8,
              an_endpoint_that_is_not_there])
