"""Statuses for the exceptions and responses of common libraries (protocol 4.4).

Nothing is imported here: `dispatch.status` imports the module of a library when the first exception or value
of that library is looked up.
"""

integrations = ("httpx", "requests", "slack", "openai", "aiohttp")
"""The modules of this package that register the types of a library."""
