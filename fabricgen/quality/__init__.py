"""Is the generator any good: exported plans measured against real ones, each beside its floor.

`descriptors` turns a plan into 40 numbers; `distances` and `c2st` compare two sets of them.
"""
