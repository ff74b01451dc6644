"""What an operator needs, the same over HTTP and gRPC: request ids, logs, traces, the token."""
