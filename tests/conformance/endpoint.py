"""A program as the server sees it: an HTTP endpoint that answers Run requests with what a test tells it to, down to the
bytes, and remembers what it was asked. And the server as a client sees it."""

import http.client
import socket
import threading

import wire

DISPATCH = "/dispatch.sdk.v1.DispatchService/Dispatch"
WAIT = "/dispatch.sdk.v1.DispatchService/Wait"
RUN = "/dispatch.sdk.v1.FunctionService/Run"
TIMEOUT_S = 60


class Request:
    """One Run request: the first line, the headers as they came, the message."""

    def __init__(self, head, body):
        lines = head.split("\r\n")
        self.line = lines[0]
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        self.run = wire.decode("RunRequest", body)
        self.size = len(body)

    def header(self, name):
        """All values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def function(self):
        return self.run.get("function", "")

    @property
    def results(self):
        return self.run.get("poll_result", {}).get("results", [])

    @property
    def is_resume(self):
        return "poll_result" in self.run


def http_reply(status, body=b"", content_type="text/plain", headers=""):
    return (f"HTTP/1.1 {status} Status\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
            .encode() + body)


class Endpoint:
    """`answer(request)` gives a RunResponse (a dict), raw bytes of a whole HTTP reply after which the connection is
    closed, or None to close it without one. It runs in a thread of its own, so it may block."""

    def __init__(self, answer, host="127.0.0.1", port=0):
        self.answer = answer
        self.requests = []
        self.trouble = []
        self.listener = socket.create_server((host, port))
        self.url = "http://%s:%d" % self.listener.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept, which would take one more connection
        self.listener.close()
        assert not self.trouble, self.trouble[0]

    def call(self, function, value="", **more):
        return {"endpoint": self.url, "function": function, "input": wire.text(value), **more}

    def of(self, function):
        """The requests for a function so far."""
        return [request for request in self.requests if request.function == function]

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while self._serve_one(connection, stream):
                    pass
            except (ConnectionError, OSError):
                pass

    def _serve_one(self, connection, stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return False
            head += line
        head = head[:-4].decode("latin-1")
        size = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length:")),
                    0)
        body = stream.read(size)
        if len(body) < size:
            return False  # the server died in the middle of it
        request = Request(head, body)
        self.requests.append(request)
        try:
            reply = self.answer(request)
        except Exception as error:
            self.trouble.append(f"{error!r} when asked for {request.run}")
            raise ConnectionError
        is_message = isinstance(reply, dict)
        if is_message:
            reply = http_reply(200, wire.encode("RunResponse", reply), "application/proto")
        if reply:
            connection.sendall(reply)
        return is_message


class Api:
    """A client of the server's API."""

    def __init__(self, port, key):
        self.port = port
        self.key = key

    def post(self, path, body, method="POST", **headers):
        """Sends what it is told (header names with _ for -); (status, headers, body) of the reply."""
        sent = {"Authorization": "Bearer " + self.key, "Content-Type": "application/proto"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2 * TIMEOUT_S)
        try:
            connection.request(method, path, body, {name: value for name, value in sent.items() if value is not None})
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def dispatch(self, *calls):
        """The ids of the calls."""
        status, _, body = self.post(DISPATCH, wire.encode("DispatchRequest", {"calls": calls}))
        assert status == 200, (status, body)
        return wire.decode("DispatchResponse", body).get("dispatch_ids", [])

    def wait(self, id):
        """The CallResult of a call, when it is done."""
        status, _, body = self.post(WAIT, id.encode(), Connect_Timeout_Ms=str(TIMEOUT_S * 1000))
        assert status == 200, (status, body)
        return wire.decode("CallResult", body)

    def run(self, call):
        """The CallResult of a call made now."""
        [id] = self.dispatch(call)
        return self.wait(id)
