"""Writes the OpenAPI description of the JSON edge from a descriptor image: protos/generate.py calls it."""
