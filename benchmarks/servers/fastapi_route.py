"""The route that people write first: FastAPI around an onnxruntime session, binary in and out, in a thread pool.

python fastapi_route.py MODEL PORT
"""

import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
(output,) = [node.name for node in session.get_outputs() if node.type == "tensor(float)"]
width = session.get_inputs()[0].shape[1]
app = FastAPI()


@app.post("/infer")
async def infer(request: Request) -> Response:
    latent = np.frombuffer(await request.body(), dtype=np.float32).reshape(-1, width)
    (image,) = await run_in_threadpool(session.run, [output], {"latent": latent})
    return Response(image.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False)
