"""What is filmed: book, pages, desk, clutter."""
