"""ONNX graphs: how they are written from torch, run by onnxruntime, and what pixels are at their edges."""
