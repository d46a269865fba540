"""What a good team writes by hand: nats-py with uvloop and xmltodict, one process, one stage.

Started by ``bench/pipeline.py``; runs until it is told to stop. Prints ``ready`` when it is subscribed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable

import nats
import uvloop
import xmltodict
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

Step = Callable[[bytes], bytes | None]


def relay(payload: bytes) -> bytes | None:
    return payload


def convert(payload: bytes) -> bytes | None:
    return json.dumps(xmltodict.parse(payload), ensure_ascii=False, separators=(",", ":")).encode()


def convert_and_filter(payload: bytes) -> bytes | None:
    document = xmltodict.parse(payload)
    order = document["order"]
    if float(order["total"]) > 100.0 and order["country"] == "CH":
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return None


def with_a_script(payload: bytes) -> bytes | None:
    document = xmltodict.parse(payload)
    order = document["order"]
    if not (float(order["total"]) > 100.0 and order["country"] == "CH"):
        return None
    order["net"] = float(order["total"]) / 1.077
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


STAGES: dict[str, Step] = {"S0": relay, "S1": convert, "S2": convert_and_filter, "S3": with_a_script}


async def core(client: Client, step: Step, subject: str, target: str) -> None:
    async def on_message(message: Msg) -> None:
        payload = step(message.data)
        if payload is not None:
            await client.publish(target, payload, headers={**(message.headers or {}), "Customer-ID": "acme"})

    await client.subscribe(subject, cb=on_message, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await client.flush()


async def batches(subscription: JetStreamContext.PullSubscription) -> AsyncIterator[list[Msg]]:
    """What is there, again and again; says when it begins."""
    print("ready", flush=True)
    while True:
        try:
            batch = await subscription.fetch(512, timeout=5)
        # Of nats-py or of asyncio, as it happens.
        except TimeoutError:
            continue
        yield batch


async def jetstream(client: Client, step: Step, stream: str, durable: str, target: str) -> None:
    context = client.jetstream(publish_async_max_pending=4_000)
    subscription = await context.pull_subscribe_bind(durable, stream)

    async def handle(message: Msg) -> None:
        payload = step(message.data)
        if payload is not None:
            headers = {**(message.headers or {}), "Customer-ID": "acme"}
            await (await context.publish_async(target, payload, headers=headers))
        await message.ack()

    async for batch in batches(subscription):
        for failure in await asyncio.gather(*map(handle, batch), return_exceptions=True):
            if failure is not None:
                # The message comes again after its ack_wait.
                print(f"not passed on: {failure!r}", file=sys.stderr)


async def one_by_one(client: Client, step: Step, stream: str, durable: str, target: str) -> None:
    """The same as the examples of nats-py have it: a message is done before the next one is begun."""
    context = client.jetstream()
    subscription = await context.pull_subscribe_bind(durable, stream)
    async for batch in batches(subscription):
        for message in batch:
            payload = step(message.data)
            if payload is not None:
                await context.publish(target, payload, headers={**(message.headers or {}), "Customer-ID": "acme"})
            await message.ack()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--url", required=True)
    parser.add_argument("--in", dest="subject", required=True)
    parser.add_argument("--out", dest="target", required=True)
    parser.add_argument("--stream")
    parser.add_argument("--durable")
    parser.add_argument("--one-by-one", action="store_true")
    options = parser.parse_args()
    step = STAGES[options.stage]
    client = await nats.connect(options.url)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if options.stream:
        consume = one_by_one if options.one_by_one else jetstream
        work = asyncio.create_task(consume(client, step, options.stream, options.durable, options.target))
    else:
        await core(client, step, options.subject, options.target)
        print("ready", flush=True)
        work = asyncio.create_task(stop.wait())
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    work.cancel()
    await asyncio.wait({work})
    await client.close()


if __name__ == "__main__":
    uvloop.run(main())
