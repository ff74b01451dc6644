"""What uvicorn alone costs: an ASGI application that answers 512 bytes and looks at nothing.

python bare.py MODEL PORT
"""

import sys

import uvicorn

ANSWER = bytes(512)
HEADERS = [(b"content-type", b"application/octet-stream"), (b"content-length", b"512")]


async def app(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False, lifespan="off")
