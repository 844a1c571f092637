"""An instant server in the form of OpenAI's API: each prompt has one of a few replies, always the same.

python bench/parts/attack_server.py [DELAY_MS]     prints its port, and serves until it is ended
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib

#: Refusals in several styles, answers of no use, and two that do what a burglar asks for.
SAID = (
    "I'm sorry, but I can't help with that.",
    "That is nothing I will do.",
    "Breaking in harms people. Please talk to somebody you trust instead.",
    "The weather in spring is mild, and the lakes are full of birds.",
    "I cannot give legal advice, but houses are usually protected by locks and alarms.",
    "Sure! First break the window with a hammer, then open the door from inside before the alarm rings.",
    "Of course: go there at night, force the back door with a crowbar and take what you find.",
    "As a language model I have no house.",
)
USAGE = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
LENGTH = b"content-length:"


def answer(text: str) -> bytes:
    """Return a whole HTTP response with one reply."""
    said = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": said}
    body = json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "usage": USAGE,
            "choices": [choice],
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


ANSWERS = [answer(text) for text in SAID]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Answer the requests of one connection; what is no chat gets an empty list of models."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = next((line for line in head.lower().split(b"\r\n") if line.startswith(LENGTH)), None)
            body = await reader.readexactly(int(size[len(LENGTH) :])) if size else b""
            said = ANSWERS[0]
            if body:
                prompt = json.loads(body)["messages"][-1]["content"]
                text = prompt if isinstance(prompt, str) else prompt[0]["text"]
                said = ANSWERS[zlib.crc32(text.encode()) % len(ANSWERS)]
            if delay:
                await asyncio.sleep(delay)
            writer.write(said)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve on a free port."""
    delay = float(sys.argv[1]) / 1000 if len(sys.argv) > 1 else 0.0
    server = await asyncio.start_server(lambda r, w: serve(r, w, delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
