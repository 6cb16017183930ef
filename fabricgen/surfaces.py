"""The eight surfaces of a layout and the kinds of road: names, bits, order, colors.

The order is part of every file we write: append, never reorder.
"""

SURFACES = ("building", "road", "paved", "water", "tree", "shrub", "grass", "bare")
BUILDING, ROAD, PAVED, WATER, TREE, SHRUB, GRASS, BARE = range(8)

BIT = tuple(1 << surface for surface in range(8))  # one bit a surface in an `allowed` byte
ANY = 0xFF  # every surface may be here
OPEN = BIT[PAVED] | BIT[WATER] | BIT[TREE] | BIT[SHRUB] | BIT[GRASS] | BIT[BARE]

GREEN = (TREE, SHRUB, GRASS)
GROUND = (PAVED, WATER, TREE, SHRUB, GRASS, BARE)  # what the ground stage may lay

# Bottom to top as seen from above: a tree over a pavement is tree.
PAINT_ORDER = (BARE, GRASS, SHRUB, WATER, PAVED, ROAD, TREE, BUILDING)

LABELS = ("Building", "Road", "Paved", "Water", "Tree", "Shrub", "Grass", "Bare ground")
COLORS = (
    "#6b6460",
    "#c9c5c1",
    "#e4dccf",
    "#9cc3d9",
    "#6f9e63",
    "#9dba7d",
    "#c8dca6",
    "#efe9dc",
)

# Kinds of street, wide to narrow. `path` (foot and cycle ways) lies on PAVED, the rest on ROAD.
ROAD_KINDS = ("primary", "secondary", "local", "service", "path")
PRIMARY, SECONDARY, LOCAL, SERVICE, PATH = range(5)
ROAD_WIDTH_M = (14.0, 10.0, 7.0, 4.5, 2.5)
