"""What was measured or counted, shown to a person."""
