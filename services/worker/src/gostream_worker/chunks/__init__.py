"""Films in chunks: each worker encodes one at a time, and one worker publishes the film."""
