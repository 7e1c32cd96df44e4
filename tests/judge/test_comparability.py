"""Which differences forbid a comparison, which are named, and which are only noted."""

from typing import Any

import msgspec
import pytest

from console.judge.comparability import (
    MUST,
    NOTED,
    SHOULD,
    comparable,
    differences,
    known_names,
    same_version,
    sentence,
)
from console.model.cell import Conditions, Reference
from console.model.profile import Image

replace = msgspec.structs.replace


def under(reference: Reference, **fields: Any) -> Reference:
    return replace(reference, under=replace(reference.under, **fields))


def keys(measured: Conditions, reference: Reference, strength: str) -> set[str]:
    return {item.key for item in differences(measured, reference) if item.strength == strength}


def test_every_condition_has_a_strength_or_belongs_to_the_image() -> None:
    image = {"image", "image_digest", "engine_version", "simulated"}
    assert {*MUST, *SHOULD, *NOTED} | image == set(Conditions.__struct_fields__)


def test_another_host_of_the_same_kind_stays_comparable(measured: Conditions, published: Reference) -> None:
    found = differences(measured, published)
    assert comparable(found)
    assert {item.key: item.strength for item in found} == {
        "cpu": "noted",
        "bios_version": "noted",
        "nodes_per_socket": "noted",
        "driver": "noted",
    }


@pytest.mark.parametrize(("key", "value"), [("gpu", "MI325X"), ("gpus", 4), ("nodes", 2), ("compute_partition", "CPX")])
def test_must_agree_conditions_forbid_the_comparison(
    measured: Conditions, published: Reference, key: str, value: Any
) -> None:
    found = [item for item in differences(replace(measured, **{key: value}), published) if item.strength == "must"]
    assert [item.key for item in found] == [key]
    assert sentence(found[0]).startswith(f"{key}: measured {value}, reference ")


@pytest.mark.parametrize("key", ["gpu", "gpus", "nodes", "compute_partition"])
def test_an_unknown_must_agree_condition_forbids_it_too(measured: Conditions, published: Reference, key: str) -> None:
    found = [item for item in differences(replace(measured, **{key: None}), published) if item.strength == "must"]
    assert [(item.key, item.measured) for item in found] == [(key, None)]
    assert sentence(found[0]).startswith(f"{key}: unknown, reference ")


@pytest.mark.parametrize("key", ["gpu", "gpus", "nodes", "compute_partition", "image"])
def test_what_the_reference_does_not_state_is_no_difference(
    measured: Conditions, published: Reference, key: str
) -> None:
    silent = under(published, **{key: None}, engine_version=None)
    assert comparable(differences(replace(measured, **{key: None}), silent))


@pytest.mark.parametrize(
    ("key", "value"),
    [("memory_partition", "NPS4"), ("power_cap_w", 600.0), ("engine", "V1"), ("pytorch", "2.6.0"), ("rocm", "6.4.1")],
)
def test_should_agree_conditions_are_named(measured: Conditions, published: Reference, key: str, value: Any) -> None:
    stated = under(published, **{key: value})
    assert comparable(differences(measured, stated))
    assert keys(measured, stated, "should") == {key}


@pytest.mark.parametrize("key", NOTED)
def test_noted_conditions_never_forbid_anything(measured: Conditions, published: Reference, key: str) -> None:
    value: Any = 4 if key == "nodes_per_socket" else "something else"
    stated = under(published, **{key: value})
    assert comparable(differences(measured, stated))
    assert key in keys(measured, stated, "noted")


def test_a_moved_tag_is_another_image(measured: Conditions, published: Reference) -> None:
    ours, theirs = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    moved = under(published, image_digest=theirs)
    assert keys(replace(measured, image_digest=ours), moved, "must") == {"image_digest"}
    assert comparable(differences(replace(measured, image_digest=theirs), moved))


def test_a_digest_known_by_its_first_characters_agrees(measured: Conditions, published: Reference) -> None:
    pinned = replace(measured, image_digest="sha256:38410c51af72" + "0" * 52)
    assert comparable(differences(pinned, under(published, image_digest="sha256:38410c51")))
    assert comparable(differences(pinned, under(published, image_digest="sha256-38410c51")))


def test_a_mirror_with_the_same_digest_is_the_same_image(measured: Conditions, published: Reference) -> None:
    digest = "sha256:" + "c" * 64
    mirror = replace(measured, image="mirror:5000/rocm/vllm:x", image_digest=digest)
    assert comparable(differences(mirror, under(published, image_digest=digest)))
    assert keys(mirror, published, "must") == {"image"}


def test_two_names_of_one_image_record_are_equal(measured: Conditions, published: Reference) -> None:
    record = Image(
        name="vllm-0.8.5",
        ref="rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521",
        aliases=("rocm/vllm:rocm6.3.1_mi300",),
        program="vllm",
        source="page",
    )
    names = known_names([record])
    for name in ("vllm-0.8.5", "docker.io/rocm/vllm:rocm6.3.1_vllm_0.8.5_20250521", "rocm/vllm:rocm6.3.1_mi300"):
        assert comparable(differences(replace(measured, image=name), published, names)), name
    assert not comparable(differences(replace(measured, image="rocm/vllm:other"), published, names))


def test_the_engine_version_only_stands_in_for_an_unnamed_image(measured: Conditions, published: Reference) -> None:
    assert comparable(differences(measured, published)), "AMD's 0.8.5 image carries a 0.8.6 development build"
    unnamed = under(published, image=None)
    assert keys(measured, unnamed, "must") == {"engine_version"}
    assert comparable(differences(replace(measured, engine_version="0.8.5+rocm631"), unnamed))
    assert keys(replace(measured, engine_version=None), unnamed, "must") == {"engine_version"}


def test_simulated_figures_meet_only_the_labs_references(measured: Conditions, published: Reference) -> None:
    simulated, lab = replace(measured, simulated=True), replace(published, set="lab")
    assert keys(simulated, published, "must") == {"simulated"}
    assert keys(measured, lab, "must") == {"simulated"}
    assert comparable(differences(simulated, lab))
    assert comparable(differences(measured, published))


def test_the_labs_images_are_known_by_name_only(measured: Conditions, published: Reference) -> None:
    lab = under(replace(published, set="lab"), image_digest="sha256:" + "a" * 64)
    simulated = replace(measured, simulated=True, image_digest="sha256:" + "b" * 64)
    assert comparable(differences(simulated, lab))
    assert not comparable(differences(replace(simulated, image="rocm/vllm:other"), lab))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("2.7", "2.7.0", True), ("0.8.5", "v0.8.5+rocm631", True), ("0.8", "0.80", False), ("6.3.1", "6.3.1-48", True)],
)
def test_versions_agree_when_one_continues_the_other(one: str, other: str, same: bool) -> None:
    assert same_version(one, other) is same
    assert same_version(other, one) is same
