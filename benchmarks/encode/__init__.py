"""How fast, how small and how good: the worker's encodes beside other ways to make them."""
