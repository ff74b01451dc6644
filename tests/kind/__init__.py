"""The whole of it on a Kubernetes cluster in Docker: ``make kind-test``. What needs no cluster has ordinary tests."""
