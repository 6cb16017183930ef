"""From the world into tiles: reads city extracts and keeps them as stores of labels and boxes."""
