"""Search for a suffix that makes the beginning of a reply likely, with a model that is open to view (torch)."""
