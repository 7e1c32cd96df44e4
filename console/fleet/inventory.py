"""The fleet file: where it is, what it says, and which hosts a person means."""

from console.fleet.host import Fleet, FleetError, Host, SshOptions, Suppression

__all__ = ["Fleet", "FleetError", "Host", "SshOptions", "Suppression"]
