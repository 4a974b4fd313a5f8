"""`uploadgate demo`: the whole way of one upload, on this machine, with real parts."""
