"""One reader a file format: its header without a pixel decoded, and a way to the pixels."""
