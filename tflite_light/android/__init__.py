"""The Android demo: a model put into the app's shell, signed, and brought to a phone."""
