"""The gostream command: uploads, follows and inspects videos from a terminal or a script."""
