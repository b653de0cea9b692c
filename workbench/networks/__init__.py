"""Networks and their parts, shared by the methods."""
