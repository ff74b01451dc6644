"""The images, built and run from nothing: ``make container-test``. The tests beside it need no engine."""
