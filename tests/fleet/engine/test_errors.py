"""Engines' own words become classes with a remedy; tokens and escapes in them do not get through."""

import pytest

from console.fleet.engine.errors import ContainerAbsent, EngineError, ImageAbsent, NameTaken, classify
from console.model.attempt import FailureClass

KFD = 'error gathering device information while adding custom device "/dev/kfd": no such file or directory'
SAID = [
    (KFD, FailureClass.NO_KFD),
    (KFD.replace("kfd", "infiniband"), FailureClass.DOCKER),
    ("Unable to find group render: no matching entries in group file", FailureClass.GROUP_MISSING),
    ("No such image: rocm/vllm:none", FailureClass.IMAGE_MISSING),
    ("No such container: abc", FailureClass.LOST),
    ("pull access denied for x, repository does not exist or may require 'docker login'", FailureClass.IMAGE_PULL),
    ("manifest for rocm/vllm:nope not found: manifest unknown: manifest unknown", FailureClass.IMAGE_PULL),
    ("toomanyrequests: You have reached your pull rate limit", FailureClass.IMAGE_PULL),
    ('Get "https://r/v2/": dial tcp: lookup r: no such host', FailureClass.IMAGE_PULL),
    ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", FailureClass.DISK_FULL),
    ("driver failed: Bind for 0.0.0.0:8000 failed: port is already allocated", FailureClass.PORT_IN_USE),
    ("something nobody has seen", FailureClass.DOCKER),
]


@pytest.mark.parametrize(("text", "failure"), SAID)
def test_a_refusal_has_a_class_and_names_the_host(text: str, failure: FailureClass) -> None:
    error = classify("node01", text, 500)
    assert error.failure is failure
    assert str(error).startswith("node01: ")
    assert text[:30] in str(error)


@pytest.mark.parametrize(("text", "failure"), SAID[:-1])
def test_every_known_refusal_says_what_to_do(text: str, failure: FailureClass) -> None:
    assert classify("node01", text).remedy


def test_absent_things_have_classes_of_their_own() -> None:
    assert isinstance(classify("h", "No such container: x", 404), ContainerAbsent)
    assert isinstance(classify("h", "No such image: x", 404), ImageAbsent)


def test_an_unknown_error_of_a_pull_is_a_pull_error() -> None:
    assert classify("h", "received unexpected HTTP status: 502", pulling=True).failure is FailureClass.IMAGE_PULL


def test_only_what_may_pass_by_itself_is_worth_a_retry() -> None:
    assert classify("h", "net/http: TLS handshake timeout").retry
    assert not classify("h", "manifest unknown").retry


def test_messages_are_clean_and_carry_no_token() -> None:
    error = EngineError("node01", "bad \x1b[31menv\x07 HF_TOKEN=hf_abcdefghijklmnop\nsecond line")
    assert str(error) == "node01: bad env HF_TOKEN=[redacted] second line"


def test_a_taken_name_without_a_holder_is_still_a_taken_name() -> None:
    error = NameTaken("node01", "instinct-claim", None)
    assert error.failure is FailureClass.HOST_BUSY
    assert "instinct-claim" in str(error)
