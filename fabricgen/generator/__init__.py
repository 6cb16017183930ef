"""Propose: streets, then buildings as oriented boxes, then ground surfaces."""
