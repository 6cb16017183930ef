"""Measurements of the product against meters and peers; `training/benchmark.py` runs them."""
