"""Parts of dispatch whose interface may still change."""
