"""A small HTTP/3 server and client by aioquic, as a public site and a browser have them."""

import asyncio
import ssl
import threading

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

from qsh.quic.identity import make_certificate, new_identity_key

LOCALHOST = "127.0.0.1"


class _Server(QuicConnectionProtocol):
    """Answers GET /N with N bytes."""

    def quic_event_received(self, event):
        self.http = getattr(self, "http", None) or H3Connection(self._quic)
        for what in self.http.handle_event(event):
            if isinstance(what, HeadersReceived):
                count = int(dict(what.headers)[b":path"][1:])
                self.http.send_headers(what.stream_id, [(b":status", b"200")])
                self.http.send_data(what.stream_id, bytes(count), end_stream=True)
                self.transmit()


class _Client(QuicConnectionProtocol):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic)
        self.waiting = {}

    async def get(self, path):
        """The status and the length of the body."""
        stream = self._quic.get_next_available_stream_id()
        done = asyncio.get_running_loop().create_future()
        self.waiting[stream] = [done, b"", 0]
        self.http.send_headers(stream, [
            (b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"example.net"),
            (b":path", path.encode()),
        ], end_stream=True)  # fmt: skip
        self.transmit()
        return await done

    def quic_event_received(self, event):
        for what in self.http.handle_event(event):
            entry = self.waiting[what.stream_id]
            if isinstance(what, HeadersReceived):
                entry[1] = dict(what.headers)[b":status"]
            elif isinstance(what, DataReceived):
                entry[2] += len(what.data)
            if what.stream_ended:
                entry[0].set_result((entry[1], entry[2]))


class Site:
    """The server, in a thread; its `port`."""

    def __enter__(self):
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _run(self):
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_der_private_key

        identity = make_certificate(new_identity_key(), b"")
        configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=False)
        configuration.certificate = x509.load_der_x509_certificate(identity.certificate_der)
        configuration.private_key = load_der_private_key(identity.private_key_der, None)
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await serve(LOCALHOST, 0, configuration=configuration, create_protocol=_Server)
        self.port = server._transport.get_extra_info("sockname")[1]
        self._ready.set()
        await self._over.wait()
        server.close()


def fetch(port, *paths):
    """(status, length) of each path, asked for at once on one connection."""

    async def run():
        configuration = QuicConfiguration(alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE)
        async with asyncio.timeout(30), connect(
            LOCALHOST, port, configuration=configuration, create_protocol=_Client
        ) as client:
            return await asyncio.gather(*map(client.get, paths))

    return asyncio.run(run())
