"""Many pieces of work at once: plans to be scored, blocks of a city to be designed."""
