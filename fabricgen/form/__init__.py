"""What shape is it: indicators of layouts (torch) and of plans (geometry)."""
