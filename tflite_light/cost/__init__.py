"""What a network costs on paper, of a Keras model or of a file; nothing is run."""
