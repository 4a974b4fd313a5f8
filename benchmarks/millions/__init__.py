"""Tables of a million rows, and the work of the service in them, through its own repositories."""
