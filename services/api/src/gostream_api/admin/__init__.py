"""Answers operators: why a video is in its state. Facts are gathered apart from the decision about them."""
