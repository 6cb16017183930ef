"""The weights that ship with the package; in the wheel as `fabricgen.checkpoints`."""
