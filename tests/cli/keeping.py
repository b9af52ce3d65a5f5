"""Keeping the data: verify, backup, and a server with a damaged record. keeping.py BINARY"""

import json
import os
import signal
import sqlite3
import time
import urllib.request

import command
from command import TIMEOUT_S, dispatch
from endpoint import Api
from server import Server

KEY = "key"


def with_server(test, db):
    server = Server(command.sys.argv[1], KEY, "--db", db)
    try:
        return test(server, Api(server.port, KEY))
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(TIMEOUT_S)


def get(server, id):
    return dispatch("get", id, DISPATCH_API_URL=f"http://127.0.0.1:{server.port}", DISPATCH_API_KEY=KEY)


def submit(_server, api):
    return [api.dispatch({"endpoint": "http://127.0.0.1:1", "function": "f"})[0] for _ in range(3)]


def damage(db, id):
    database = sqlite3.connect(db)
    rows = [row[0] for row in database.execute("SELECT rowid FROM call WHERE id=?", (bytes.fromhex(id.replace("-", "")),))]
    assert len(rows) == 1, id
    database.execute("UPDATE call SET function='g' WHERE rowid=?", rows)
    database.commit()
    database.close()


def metric(server, name):
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/metrics", headers={"Authorization": "Bearer " + KEY})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        lines = answer.read().decode().splitlines()
    return next(line.split(" ")[1] for line in lines if line.startswith("dispatch_" + name + " "))


def a_copy_of_a_database_in_use():
    """It has what was acknowledged, is whole, and a server opens it."""
    def copy(server, api):
        ids = submit(server, api)
        assert dispatch("backup", "--db", "live.db", "copy.db") == (0, "copy.db: 3 calls, 0 long payloads: whole\n", "")
        code, _, said = dispatch("verify", "live.db")
        assert code == 1 and "live.db is in use by a server" in said, said
        return ids
    ids = with_server(copy, "live.db")
    assert sorted(os.listdir(".")) == ["copy.db", "live.db"]
    assert dispatch("verify", "copy.db") == (0, "copy.db: 3 calls, 0 long payloads: whole\n", "")
    code, out, _ = dispatch("verify", "--json", "copy.db")
    assert code == 0 and json.loads(out) == {"file": "copy.db", "whole": True, "calls": 3, "longPayloads": 0,
                                            "findingsTotal": 0, "findings": []}
    with_server(lambda server, _api: [check(get(server, id)[0] == 0) for id in ids], "copy.db")


def check(condition):
    assert condition


def a_copy_never_takes_the_place_of_a_file():
    with_server(submit, "live.db")
    with open("copy.db", "w", encoding="ascii") as file:
        file.write("mine")
    code, out, said = dispatch("backup", "--db", "live.db", "copy.db")
    assert (code, out) == (1, "") and "copy.db" in said, said
    with open("copy.db", encoding="ascii") as file:
        assert file.read() == "mine"


def a_damaged_record():
    """It is named, not used, and harms no other call."""
    ids = with_server(submit, "live.db")
    damage("live.db", ids[1])
    code, out, _ = dispatch("verify", "live.db")
    assert code == 1 and f"call {ids[1]}: wrong sum" in out and "DAMAGED, 1 findings" in out, out
    code, _, said = dispatch("backup", "--db", "live.db", "copy.db")
    assert code == 1 and "damaged" in said and ids[1] in said, said

    def look(server, _api):
        code, out, said = get(server, ids[1])
        assert code == 1 and "data_loss" in said and ids[1] in said, (out, said)
        end = time.monotonic() + TIMEOUT_S
        while metric(server, "store_damaged_calls") != "1":
            assert time.monotonic() < end
        assert get(server, ids[0])[0] == 0 and get(server, ids[2])[0] == 0
        assert [line for line in server.errors if "a record is damaged" in line and ids[1] in line], server.errors
        assert metric(server, "store_failing") == "0"
    with_server(look, "live.db")


command.play([a_copy_of_a_database_in_use, a_copy_never_takes_the_place_of_a_file, a_damaged_record])
