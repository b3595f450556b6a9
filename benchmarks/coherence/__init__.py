"""Is what a cache answers current? Replica and writer processes over real servers, and a checker."""
