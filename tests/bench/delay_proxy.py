#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""delay_proxy.py LISTEN_ADDRESS LISTEN_PORT HOST PORT ROUND_TRIP_MS

A long cable for machines whose kernel has no netem: every byte arrives half a round trip late, and so does the end
of a stream, in each direction by itself. Connecting costs a round trip too. Rate is not limited and buffers are not
bounded, so what slows a stream down is only how much its sender dares to have on the way.
Prints "ready" when it listens; ends with SIGTERM.
"""
import asyncio
import collections
import signal
import socket
import sys

CHUNK = 1 << 18


def prepare(writer):
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    writer.transport.set_write_buffer_limits(high=1 << 26)


async def carry(reader, writer, delay):
    """Reads at once, so that the sender sees an empty cable, and writes what has been on its way long enough."""
    loop = asyncio.get_running_loop()
    on_the_way = collections.deque()
    arrived = asyncio.Event()

    async def deliver():
        while True:
            while not on_the_way:
                arrived.clear()
                await arrived.wait()
            due, data = on_the_way.popleft()
            wait = due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            if not data:
                break
            writer.write(data)
        if writer.can_write_eof():
            writer.write_eof()

    delivery = asyncio.ensure_future(deliver())
    try:
        while True:
            data = await reader.read(CHUNK)
            on_the_way.append((loop.time() + delay, data))
            arrived.set()
            if not data:
                break
        await delivery
    except OSError:
        # one side broke: the other must not wait for it
        delivery.cancel()
        writer.transport.abort()


async def serve_one(reader, writer, host, port, delay):
    prepare(writer)
    await asyncio.sleep(2 * delay)
    try:
        far_reader, far_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.transport.abort()
        return
    prepare(far_writer)
    await asyncio.gather(carry(reader, far_writer, delay), carry(far_reader, writer, delay))
    for end in (writer, far_writer):
        end.close()


async def main(listen_address, listen_port, host, port, round_trip_ms):
    delay = float(round_trip_ms) / 2000
    server = await asyncio.start_server(
        lambda r, w: serve_one(r, w, host, int(port), delay), listen_address, int(listen_port), limit=1 << 22)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    server.close()


if len(sys.argv) != 6:
    sys.exit(__doc__)
asyncio.run(main(*sys.argv[1:]))
