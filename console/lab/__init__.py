"""The embedded loopback fleet: SSH servers and Docker Engine stand-ins that play reference servers.

It imports nothing of the other rooms and keeps its own figures, so that it cannot share their mistakes.
"""
