"""What the pages show of one manifest."""
