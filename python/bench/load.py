"""Posts Run requests over kept connections, as many at a time, for a time; prints how many were answered. Standard library
only: load.py PORT CONNECTIONS SECONDS REQUEST_IN_HEX FIRST

FIRST is the number of the first request; it takes the place of the text 00000000, since the original answers each dispatch id
once only."""

import itertools
import selectors
import socket
import sys
import time


def main() -> None:
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    body = bytes.fromhex(sys.argv[4])
    head = (
        f"POST /dispatch.sdk.v1.FunctionService/Run HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/proto\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    requests = (head.encode() + body.replace(b"00000000", b"%08d" % n) for n in itertools.count(int(sys.argv[5])))
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        connection.sendall(next(requests))
    answered = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        for key, _ in selector.select(1):
            answer = key.fileobj.recv(65536)  # one answer fits into one piece
            if not answer.startswith(b"HTTP/1.1 200"):
                sys.exit(f"answered {answer[:200]!r}")
            answered += 1
            key.fileobj.sendall(next(requests))
    print(answered / (time.perf_counter() - start))


main()
