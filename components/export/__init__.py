"""From a checkpoint to a bundle: ONNX graphs, their signature, and the proof that they agree with torch."""
