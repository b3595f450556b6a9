"""The gostream command: upload, follow and look at videos from a terminal or a script."""
