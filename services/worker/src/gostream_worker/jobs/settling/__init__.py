"""What the end of an attempt or of a chunk means for its film."""
