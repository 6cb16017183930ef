"""Settings of every verb, as Hydra groups; in the wheel as `fabricgen.configs`."""
