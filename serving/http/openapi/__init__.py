"""The server's own description, made of the tables that its parsers read."""
