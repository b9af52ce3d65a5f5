"""The package's own thirteen tests, over its two endpoints, with the server of the environment in the place of its
stand-in. Only setUp and tearDown differ."""

import asyncio
import os
import threading
import unittest
from http.server import ThreadingHTTPServer

from aiohttp import web

import dispatch.test
from dispatch import Dispatch, Server, default_registry


class OurServer:
    def setUp(self):
        registry = default_registry()
        registry.client.api_key.value = os.environ["DISPATCH_API_KEY"]
        registry.client.api_url.value = os.environ["DISPATCH_API_URL"]
        self.answered = threading.Event()
        self.answered.set()
        registry.client.dispatch = self.dispatch_and_say_when_answered
        registry.endpoint = self.dispatch_test_init(registry)
        self.server_loop = asyncio.new_event_loop()
        self.ticker = self.server_loop.create_task(self.tick())
        self.client_thread = threading.Thread(target=self.dispatch_test_run)
        self.client_thread.start()

    def tearDown(self):
        self.dispatch_test_stop()
        self.client_thread.join()
        del default_registry().client.dispatch
        self.ticker.cancel()
        self.server_loop.run_until_complete(self.server_loop.shutdown_asyncgens())
        self.server_loop.close()

    async def dispatch_and_say_when_answered(self, calls):
        """The endpoints take a Run only after this: one that is served before the answer was read makes the future that
        the test awaits in the wrong loop."""
        client = default_registry().client
        self.answered.clear()
        try:
            return await type(client).dispatch(client, calls)
        finally:
            self.answered.set()

    async def tick(self):
        """The endpoint's thread completes the awaited future without waking this loop."""
        while True:
            await asyncio.sleep(0.01)


class OverHTTPServer(OurServer, dispatch.test.TestCase):
    def dispatch_test_init(self, reg):
        self.endpoint = ThreadingHTTPServer(("127.0.0.1", 0), self.handle)
        self.app = Dispatch(reg)
        return "http://127.0.0.1:%d" % self.endpoint.server_port

    def handle(self, request, client_address, server):
        self.answered.wait()
        return self.app(request, client_address, server)

    def dispatch_test_run(self):
        self.endpoint.serve_forever(poll_interval=0.01)
        self.endpoint.server_close()

    def dispatch_test_stop(self):
        self.endpoint.shutdown()


class OverAIOHTTP(OurServer, dispatch.test.TestCase):
    def dispatch_test_init(self, reg):
        self.loop = asyncio.new_event_loop()
        app = Dispatch(reg)
        app.middlewares.append(self.handle)
        self.endpoint = Server("127.0.0.1", 0, app)
        self.loop.run_until_complete(self.endpoint.start())
        self.stopped = asyncio.Event()
        return "http://127.0.0.1:%d" % self.endpoint.port

    @web.middleware
    async def handle(self, request, handler):
        while not self.answered.is_set():
            await asyncio.sleep(0.001)
        return await handler(request)

    async def serve(self):
        await self.stopped.wait()
        await self.endpoint.stop()

    def dispatch_test_run(self):
        self.loop.run_until_complete(self.serve())
        self.loop.close()

    def dispatch_test_stop(self):
        self.loop.call_soon_threadsafe(self.stopped.set)


if __name__ == "__main__":
    unittest.main()
