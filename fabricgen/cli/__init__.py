"""The command line: it parses, calls one function of a room, and shows the result."""
