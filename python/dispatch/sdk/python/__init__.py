"""Messages that only Python programs exchange."""
