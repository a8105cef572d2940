"""Running models on pictures, and what is measured then."""
