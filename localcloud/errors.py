"""What can go wrong with the embedded cloud. Every message says what to do about it."""


class LocalCloudError(Exception):
    """The root: the embedded cloud cannot start, or cannot go on."""


class InvalidConfigError(LocalCloudError):
    """A value of LocalCloudConfig is out of its range."""


class DataDirError(LocalCloudError):
    """The data directory is in use, belongs to something else, or holds a damaged file."""


class StoreBinaryMissingError(LocalCloudError):
    """The store's program `weed` is neither beside Python nor on PATH."""


class PortsExhaustedError(LocalCloudError):
    """No free port was found on the loopback interface."""


class CountsUnavailableError(LocalCloudError):
    """The store's requests are not counted (`count_requests`), or cannot be now."""


class StoreStartError(LocalCloudError):
    """The store died or did not answer in time; the message carries the tail of its log."""
