"""The real command with 3, 4, 5 ... descriptors: it says what is missing and ends with 1, or it serves and stops in order.
descriptors.py BINARY"""

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

LOWEST, HIGHEST = 4, 48
STEP = 1 if os.environ.get("FAULTS") == "full" else 3
TIMEOUT_S = 60


def start(n_descriptors):
    env = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_")}
    command = [sys.argv[1], "serve", "--db", "d.db", "--listen", "127.0.0.1:0", "--api-key", "key"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n_descriptors, n_descriptors)))


def serves(process, url):
    """Returns whether it answered. A connection for which no descriptor is left is closed."""
    is_answered = True
    try:
        request = urllib.request.Request(url + "/metrics", headers={"Authorization": "Bearer key"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            assert answer.status == 200
    except urllib.error.HTTPError:
        raise
    except (ConnectionError, urllib.error.URLError):
        is_answered = False
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    return is_answered


def refuses(process):
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1 and output == "", f"{process.returncode}: {output}{errors}"
    assert re.match(r"dispatch serve: .*\S\n", errors) and "CHECK" not in errors, errors


def main():
    n_answered = n_refused = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for n in range(LOWEST, HIGHEST + 1, STEP):
            process = start(n)
            line = process.stdout.readline()
            try:
                if line.startswith("listening on "):
                    n_answered += serves(process, line.split()[-1])
                else:
                    refuses(process)
                    n_refused += 1
            except BaseException:
                print(f"FAILED with {n} descriptors")
                process.kill()
                raise
        os.chdir("/")
    print(f"{n_refused} refused to start, {n_answered} answered")
    assert n_refused > 0 and n_answered > 0


main()
