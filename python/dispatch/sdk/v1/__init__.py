"""Package dispatch.sdk.v1 of the protocol."""
