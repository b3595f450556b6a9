"""The preview: a few seconds of a film as one animated picture."""
