"""Train, compress and export lightweight image classifiers whose int8 files keep their promises."""

__version__ = "0.1.0"
