"""The only call of `model.fit`: a phase of a run, its memory on disk, its rates and its loss."""
