"""The Open Inference Protocol v2 over gRPC: its interface definition, and messages to arrays and back."""
