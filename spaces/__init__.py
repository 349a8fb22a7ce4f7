"""What can be searched, and what theory says before any training (numpy only)."""
