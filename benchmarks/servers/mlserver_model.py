"""MLServer: a custom runtime by its documentation; settings are written beside it by whoever starts it.

mlserver start DIRECTORY     (of settings.json, model-settings.json and this file)
"""

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Onnx(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (self.output,) = [node.name for node in self.session.get_outputs() if node.type == "tensor(float)"]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        latent = self.decode(payload.inputs[0], default_codec=NumpyCodec).astype(np.float32)
        (image,) = self.session.run([self.output], {"latent": latent})
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output(name=self.output, payload=image)]
        )
