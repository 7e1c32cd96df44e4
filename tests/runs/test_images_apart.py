"""Ranks of one job run from one image, whatever its tag means on each host."""

from console.model.attempt import FailureClass
from console.runs.prepare import images_apart
from console.runs.site import ImageSeen

REF = "rocm/megatron-lm:v25.5_py310"
NEW, OLD = ImageSeen("sha256:1", "sha256:aa"), ImageSeen("sha256:2", "sha256:bb")


def test_hosts_that_hold_the_same_image_have_nothing_to_say() -> None:
    assert images_apart({"n1": NEW}, REF) is None
    assert images_apart({"n1": NEW, "n2": NEW}, REF) is None


def test_the_host_that_kept_what_a_tag_once_meant_is_named_with_what_helps() -> None:
    failure = images_apart({"n1": NEW, "n2": OLD, "n3": NEW}, REF)
    assert failure is not None
    assert failure.failure is FailureClass.IMAGE_MISSING
    assert failure.line.endswith("n1 sha256:aa, n2 sha256:bb, n3 sha256:aa")
    assert failure.remedy.startswith(f"docker pull {REF} on n2;")


def test_an_image_without_a_digest_is_known_by_its_id() -> None:
    failure = images_apart({"n1": ImageSeen("sha256:1", None), "n2": ImageSeen("sha256:2", None)}, REF)
    assert failure is not None
    assert "n1 sha256:1, n2 sha256:2" in failure.line
