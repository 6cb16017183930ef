"""Which directions streets have around here: a rule that keeps arbitrary diagonals out.

The directions of the streets of the context, modulo a right angle and weighted by length and
nearness, with the walls (the frame is turned along them) as one more. Where the city around is a
grid, few directions are at home; where it winds, all are.
"""

from dataclasses import dataclass, replace

import numpy as np

from fabricgen.generator.streets_network import Network, distance_to_each

NEAR_M = 150.0  # at this distance a street counts 1 / e
SD_RAD = np.deg2rad(5.0)
WALLS_SHARE = 0.5  # weight of the walls beside that of all streets
ENOUGH = 0.4  # of the most common direction; what is as common as this is at home
SIDES_RAD = np.deg2rad(np.arange(0.0, 90.0, 5.0))


@dataclass(frozen=True, eq=False)
class Compass:
    """Directions of the streets of a context."""

    ends: np.ndarray  # (M, 4)
    angle: np.ndarray  # (M,)
    length_m: np.ndarray  # (M,)

    def shifted(self, move_m: np.ndarray) -> "Compass":
        """The same, moved by (du, dv)."""
        return replace(self, ends=self.ends + np.tile(move_m, 2))


def compass_of(network: Network) -> Compass:
    """The compass of a network's context: what is placed on the site does not count."""
    ends = network.ends[~network.placed]
    axis = ends[:, 2:] - ends[:, :2]
    return Compass(ends, np.arctan2(axis[:, 1], axis[:, 0]), np.hypot(*axis.T))


def strangeness(compass: Compass, point: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """How foreign directions (...) are around a point (2,): 0 at home, 1 nowhere seen."""
    weight = compass.length_m * np.exp(-distance_to_each(point, compass.ends) / NEAR_M)
    weight = np.append(weight, max(WALLS_SHARE * weight.sum(), 1e-6))
    known = np.append(compass.angle, 0.0)
    support = _support(np.asarray(angle), known, weight)
    most = _support(SIDES_RAD, known, weight).max()
    return 1.0 - np.minimum(support / (ENOUGH * most), 1.0)


def _support(angle: np.ndarray, known: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weight of the known directions (M,) at angles (...), modulo a right angle."""
    turn = np.abs((angle[..., None] - known + np.pi / 4) % (np.pi / 2) - np.pi / 4)
    return (weight * np.exp(-0.5 * (turn / SD_RAD) ** 2)).sum(axis=-1)
