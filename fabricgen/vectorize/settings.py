"""What counts as clean: the lengths and areas that drawing a plan keeps to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DrawSettings:
    """Limits of the drawing; all in meters and square meters."""

    storey_m: float = 3.0  # height of one storey
    default_floors: int = 3  # where no box of the proposal knows its floors
    max_floors: int = 60  # closing a brief builds no higher
    setback_m: float = 1.0  # walls stand this far off a carriageway
    path_setback_m: float = 0.3  # and this far off a foot or cycle path
    edge_gap_m: float = 2.0  # walls cut at the site's edge stand this far off it
    snap_m: float = 1.2  # wall lines nearer than this become one line; slits close
    flush_m: float = 1.6  # so do fronts of neighbors wall to wall
    flush_reach_m: float = 20.0  # fronts of neighbors this far apart become flush
    turn_deg: float = 4.5  # walls within this angle of their neighbors turn parallel
    touch_turn_deg: float = 7.0  # the same for neighbors wall to wall
    street_turn_deg: float = 10.0  # walls within this angle of their street turn along it
    turn_reach_m: float = 45.0  # how far a neighbor or street may stand for that
    alley_m: float = 0.8  # ground between buildings narrower than this closes or opens
    alley_open_m: float = 1.2  # width that it opens to
    scale_share: float = 0.15  # closing a brief scales footprints by this much at most
    keep_share: float = 0.35  # a box that keeps less of itself is dropped
    min_building_m2: float = 20.0  # smaller footprints are slivers
    min_width_m: float = 3.0  # so are thinner ones
    annex_m2: float = 60.0  # smaller footprints join the building they lean on
    annex_width_m: float = 4.2  # so do narrower ones
    slenderness: float = 5.0  # a building is at most this many times as high as it is narrow
    min_court_m2: float = 12.0  # smaller holes are filled
    min_patch_m2: float = 60.0  # smaller patches of ground join their neighbors
    min_strip_m: float = 2.0  # so do thinner ones
    min_pond_m2: float = 150.0  # smaller water becomes grass
    crown_min_m: float = 4.5  # crown diameters of single trees
    crown_max_m: float = 9.0
    tree_spacing_m: float = 6.5  # least distance of two stems
    stem_gap_m: float = 1.5  # stems stand this far off walls and carriageways
    join_m: float = 8.0  # street ends this near to a street of the context meet it
    stub_m: float = 10.0  # dead ends shorter than this are dropped
