"""onnxruntime and HTTP: a bundle and its signature are the whole contract with the rest of the project."""
