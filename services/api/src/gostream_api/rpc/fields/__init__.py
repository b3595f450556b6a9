"""The fields of requests: their limits, and the conversion of those with their own form."""
