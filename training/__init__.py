"""Makes the small models that Footnote can use, from data. Offline; needs the extra `training`."""
