"""A run: its folder, the conductor that fills it, and the files that it delivers."""
