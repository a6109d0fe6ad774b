"""Asks a camera as Home Assistant and OctoPrint do, each by the library that it uses.

Arguments: URLs of a stream and of a snapshot.
"""
import asyncio
import sys

import aiohttp
import requests


async def home_assistant(stream, snapshot):
    """MJPEG IP Camera: passes the stream on as it comes, and reads a picture whole."""
    async with aiohttp.ClientSession() as session:
        async with session.get(stream) as answer:
            some = b""
            while some.count(b"\xff\xd9") < 3:
                some += await answer.content.read(102400)
            print(answer.status, answer.headers["Content-Type"], some[:7].decode())
        async with session.get(snapshot) as answer:
            picture = await answer.read()
            print(answer.status, answer.headers["Content-Type"], picture[:2].hex(), picture[-2:].hex())


def octoprint(snapshot):
    """The classic webcam: a picture in pieces, for its time lapse."""
    answer = requests.get(snapshot, stream=True, timeout=5, verify=True)
    answer.raise_for_status()
    picture = b"".join(answer.iter_content(chunk_size=1024))
    print(answer.status_code, answer.headers["Content-Type"], picture[:2].hex(), picture[-2:].hex())


asyncio.run(home_assistant(*sys.argv[1:]))
octoprint(sys.argv[2])
