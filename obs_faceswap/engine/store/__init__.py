"""The networks on this machine: known ones, fetched ones, and those a user brings."""
