"""The Open Inference Protocol v2: bytes and messages to arrays and back. It knows no model."""
