"""Conversions between units, and nothing else."""

CO2_PER_C = 44 / 12  # mass of CO2 that one mass of carbon becomes

M2_PER_HA = 10_000.0
M2_PER_KM2 = 1_000_000.0
KG_PER_T = 1_000.0
KWH_PER_MJ = 1 / 3.6

M_PER_FOOT = 0.3048
M_PER_INCH = 0.0254
DM_PER_M = 10.0

HOURS_PER_YEAR = 8_760.0
