"""Which way to the container engine is taken, and what is said when there is none."""

from console.fleet.probe import software
from console.fleet.script import Section
from console.model.facts import DockerAccess, Known, Unknown


def parse(sockets: str, **sections: tuple[int, str]) -> Known[DockerAccess] | Unknown:
    found = {"docker": Section("docker", "sockets", 0, sockets.encode())}
    for name, (status, output) in sections.items():
        key = f"docker.{name}"
        found[key] = Section(key, "command", status, output.encode())
    return software.parse(found)


def access(result: Known[DockerAccess] | Unknown) -> DockerAccess:
    assert isinstance(result, Known), result
    return result.value


def gap(result: Known[DockerAccess] | Unknown) -> Unknown:
    assert isinstance(result, Unknown), result
    return result


def test_the_first_socket_that_may_be_opened_is_taken() -> None:
    found = access(parse("!/var/run/docker.sock absent\n=/run/user/1000/docker.sock ok\n=/run/podman/podman.sock ok\n"))
    assert found == DockerAccess(flavour="rootless", socket="/run/user/1000/docker.sock")
    assert access(parse("=/run/podman/podman.sock ok\n")).flavour == "podman"
    assert access(parse("=/var/run/docker.sock ok\n")).flavour == "docker"


def test_sudo_stands_in_where_the_fleet_file_allows_it_and_it_works() -> None:
    found = access(parse("=/var/run/docker.sock denied\n", sudo=(0, "27.3.1\n")))
    assert found.argv == ("sudo", "-n", "docker", "system", "dial-stdio")


def test_a_refusal_says_which_socket_and_what_to_do() -> None:
    missing = gap(parse("=/var/run/docker.sock denied\n"))
    assert missing.why == "permission denied"
    assert "group docker" in missing.detail
    asked = gap(parse("=/var/run/docker.sock denied\n", sudo=(1, "sudo: a password is required\n")))
    assert "a password is required" in asked.detail


def test_an_engine_elsewhere_is_named_and_not_guessed_at() -> None:
    missing = gap(parse("=DOCKER_HOST tcp://10.0.0.5:2375\n!/var/run/docker.sock absent\n"))
    assert "tcp://10.0.0.5:2375" in missing.detail
    context = gap(parse("!/var/run/docker.sock absent\n", context=(0, "unix:///home/ops/.colima/docker.sock\n")))
    assert "/home/ops/.colima/docker.sock" in context.detail


def test_no_engine_at_all_is_said_so() -> None:
    assert gap(parse("!/var/run/docker.sock absent\n")).why == "no container engine"
