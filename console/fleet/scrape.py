"""One answer of an HTTP endpoint on a host's loopback address, over the host's connection."""

import asyncio

import h11

from console.fleet.link import Link, LinkError

LIMIT = 4 * 1024 * 1024
TIMEOUT_S = 5.0


class ScrapeError(LinkError):
    """Nothing useful answered there: not listening yet, not any more, or not HTTP."""


async def get(link: Link, port: int, path: str, *, timeout_s: float = TIMEOUT_S) -> bytes:
    """Body of `GET path` from 127.0.0.1:port of the host. Raises LinkError classes."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await link.open_tcp(port)
            try:
                http = h11.Connection(h11.CLIENT)
                request = h11.Request(
                    method="GET", target=path, headers=[("Host", "localhost"), ("Connection", "close")]
                )
                writer.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
                await writer.drain()
                body = bytearray()
                while True:
                    event = http.next_event()
                    if event is h11.NEED_DATA:
                        http.receive_data(await reader.read(65536))
                    elif isinstance(event, h11.Response) and event.status_code != 200:
                        raise ScrapeError(link.host.name, f"port {port}{path} answered {event.status_code}")
                    elif isinstance(event, h11.Data):
                        body += event.data
                        if len(body) > LIMIT:
                            raise ScrapeError(link.host.name, f"port {port}{path} answers without end")
                    elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                        return bytes(body)
            finally:
                writer.close()
    except TimeoutError:
        raise ScrapeError(link.host.name, f"port {port}{path} did not answer within {timeout_s:g} s") from None
    except (h11.RemoteProtocolError, OSError) as error:
        raise ScrapeError(link.host.name, f"port {port}{path}: {error}") from error
