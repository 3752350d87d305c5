"""From archives, videos and folders to MonReader's layout."""
