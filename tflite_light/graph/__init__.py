"""Keras graphs: building them, their variables on disk, and converting them."""
