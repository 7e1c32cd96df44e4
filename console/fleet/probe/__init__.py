"""One question to a host, many answers: a constant script, and pure parsers of what it printed."""
