"""The Docker engine behind a host's connection: requests, streams, and the containers it is asked for."""
