"""The Open Inference Protocol v2 over gRPC, with the predictors that HTTP has."""
