"""The embedded store: SeaweedFS as a supervised child process, shut to everybody but its users."""
