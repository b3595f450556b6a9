"""OpenTelemetry traces. `spans` is what other rooms call; the rest is imported only while traces are on."""
