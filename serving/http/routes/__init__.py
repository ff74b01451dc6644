"""One module a group of addresses; each translates between HTTP and arrays, and knows no more."""
