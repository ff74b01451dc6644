"""KServe's Python SDK: a Model with predict, started by its ModelServer.

python kserve_model.py MODEL PORT
"""

import sys

import numpy as np
import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Onnx(Model):
    def __init__(self, name):
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
        (self.output,) = [node.name for node in self.session.get_outputs() if node.type == "tensor(float)"]
        self.ready = True

    def load(self):
        return self.ready

    def predict(self, payload: InferRequest, headers=None, response_headers=None):
        latent = payload.inputs[0].as_numpy().astype(np.float32)
        (image,) = self.session.run([self.output], {"latent": latent})
        answer = InferOutput(name=self.output, shape=list(image.shape), datatype="FP32")
        binary = bool(payload.request_outputs) and payload.request_outputs[0].parameters.get("binary_data", False)
        answer.set_data_from_numpy(image, binary_data=binary)
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[answer])


if __name__ == "__main__":
    server = ModelServer(http_port=int(sys.argv[2]), enable_grpc=False, workers=1, access_log_format="")
    server.start([Onnx("model")])
