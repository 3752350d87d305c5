"""Long recordings of one book."""
