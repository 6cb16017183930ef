"""Ctrl-C means the same to every test, wherever the tests run."""

import signal

# A shell tells what it starts in the background to ignore Ctrl-C, and children inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
