"""Package dispatch.sdk.python.v1 of the protocol."""
