"""The messages of the protocol as classes of the protobuf library, one module for each of its files."""
