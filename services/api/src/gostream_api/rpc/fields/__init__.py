"""The fields of requests: their limits, and the conversion of those with a form of their own."""
