"""Manifests are taken as they are, and refused when two readers could take them for different things."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci import media_types
from clients.oci.descriptor import Descriptor
from clients.oci.digest import Digest
from clients.oci.manifest import MAX_SIZE, InvalidManifest, Manifest
from tests.fakes.images import (
    HELM_CHART,
    HELM_CONFIG,
    Image,
    make_artifact,
    make_cache,
    make_chart,
    make_image,
    make_index,
)

IMAGE = make_image(platform=("linux", "arm64", "v8"))
INDEX = make_index([make_image(), IMAGE])
DIGEST = str(Digest.of(b""))


def parsed(image: Image) -> Manifest:
    """Reads what the builder made."""
    return Manifest.parse(image.manifest, image.media_type)


def document(**changes: Any) -> dict[str, Any]:
    """An image manifest with some fields changed; ... takes one out."""
    made = {
        "schemaVersion": 2,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": DIGEST, "size": 0},
        "layers": [{"mediaType": media_types.OCI_LAYER_GZIP, "digest": DIGEST, "size": 0}],
        **changes,
    }
    return {name: value for name, value in made.items() if value is not ...}


def index(**changes: Any) -> dict[str, Any]:
    """An index with some fields changed; ... takes one out."""
    return document(**{"config": ..., "layers": ..., "manifests": [], **changes})


def refused(content: object, media_type: str = media_types.OCI_MANIFEST) -> str:
    """Has a document refused, and returns the sentence."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(InvalidManifest) as caught:
        Manifest.parse(raw, media_type)
    sentence = str(caught.value)
    assert sentence.startswith("The manifest ")
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize("docker", [False, True])
def test_an_image_reaches_its_config_and_layers(docker: bool) -> None:
    """Config first, then the layers, in order; the content stays byte for byte."""
    image = make_image(docker=docker)
    manifest = parsed(image)
    assert [blob.digest for blob in manifest.blobs] == list(image.blobs)
    assert [blob.size for blob in manifest.blobs] == [blob.size for blob in image.blobs.values()]
    assert (manifest.content, manifest.digest) == (image.manifest, image.digest)
    assert manifest.media_type == image.media_type
    assert manifest.manifests == ()
    assert manifest.subject is None


@pytest.mark.parametrize("docker", [False, True])
def test_an_index_reaches_its_manifests(docker: bool) -> None:
    """Each child with its platform as the clients write it."""
    image = make_index([make_image(), IMAGE], docker=docker)
    manifest = parsed(image)
    assert [child.platform for child in manifest.manifests] == ["linux/amd64", "linux/arm64/v8"]
    assert [child.digest for child in manifest.manifests] == [child.digest for child in image.children]
    assert manifest.blobs == ()
    assert manifest.artifact_type == ""


def test_what_an_index_names_beside_manifests_are_blobs() -> None:
    """BuildKit's caches are indexes of layers, which clients ask for as blobs."""
    cache = make_cache()
    manifest = parsed(cache)
    assert manifest.manifests == ()
    assert {blob.digest for blob in manifest.blobs} == set(cache.blobs)
    assert manifest.artifact_type == ""


def test_a_manifest_of_a_kind_that_is_not_served_is_no_blob() -> None:
    """Whoever asks for it is told what is wrong with it."""
    child = {"mediaType": media_types.DOCKER_SCHEMA_1_SIGNED, "digest": DIGEST, "size": 0}
    manifest = Manifest.parse(json.dumps(index(manifests=[child])).encode(), media_types.OCI_INDEX)
    assert [child.media_type for child in manifest.manifests] == [media_types.DOCKER_SCHEMA_1_SIGNED]
    assert manifest.blobs == ()


def test_a_chart_is_known_by_its_config() -> None:
    """Without an artifactType of its own, the config's media type tells what it is."""
    manifest = parsed(make_chart())
    assert manifest.artifact_type == HELM_CONFIG
    assert manifest.blobs[1].media_type == HELM_CHART


def test_an_artifact_names_its_subject() -> None:
    """A foreign type inside an image manifest keeps its type and what it is about."""
    manifest = parsed(make_artifact("application/vnd.example.sbom", subject=INDEX))
    assert manifest.artifact_type == "application/vnd.example.sbom"
    assert manifest.subject == Descriptor(INDEX.media_type, INDEX.digest, len(INDEX.manifest))


def test_types_may_have_parameters() -> None:
    """Sigstore's bundles were given one for years, as type of the artifact and of its layer."""
    bundle = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    layer = {"mediaType": bundle, "digest": DIGEST, "size": 0}
    content = json.dumps(document(artifactType=bundle, layers=[layer])).encode()

    manifest = Manifest.parse(content, media_types.OCI_MANIFEST)

    assert manifest.artifact_type == manifest.blobs[1].media_type == bundle


def test_it_is_held_against_the_digest_asked_for() -> None:
    """A digest of another algorithm is kept; one of other content is refused."""
    sha512 = Digest.of(IMAGE.manifest, "sha512")
    assert Manifest.parse(IMAGE.manifest, IMAGE.media_type, digest=sha512).digest == sha512
    with pytest.raises(InvalidManifest, match="not what its digest"):
        Manifest.parse(IMAGE.manifest, IMAGE.media_type, digest=INDEX.digest)


def test_parameters_of_the_content_type_do_not_count() -> None:
    """The specification has clients ignore them."""
    assert Manifest.parse(IMAGE.manifest, IMAGE.media_type + "; charset=utf-8").media_type == IMAGE.media_type


def test_what_go_writes_for_nothing_is_nothing() -> None:
    """Lists of null are empty, and so is a type of an empty string or null."""
    content = json.dumps(document(layers=None, mediaType="", artifactType=None, subject=None)).encode()
    assert len(Manifest.parse(content, media_types.OCI_MANIFEST).blobs) == 1
    content = json.dumps(index(manifests=None)).encode()
    assert Manifest.parse(content, media_types.OCI_INDEX).manifests == ()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"not json", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"schemaVersion": 2, "schemaVersion": 2}', "twice"),
        (document(schemaVersion=...), "schemaVersion"),
        (document(schemaVersion=1), "schemaVersion"),
        (document(schemaVersion=2.0), "schemaVersion"),
        (document(mediaType=media_types.OCI_INDEX), "says that it is"),
        (document(mediaType=7), "mediaType"),
        (document(artifactType="x"), "artifactType"),
        (document(artifactType="a/\ud800"), "artifactType"),
        (document(manifests=[]), "two types"),
        (document(fsLayers=[]), "two types"),
        (document(Manifests=[]), "wrong case"),
        (document(config=...), "config that is not an object"),
        (document(layers=...), "has no layers"),
        (document(layers={}), "not a list"),
        (document(layers=[1]), "layers[0] that is not an object"),
        (document(layers=[{"mediaType": "a/b", "digest": DIGEST}]), "no size"),
        (document(layers=[{"mediaType": "a/b", "digest": DIGEST, "size": -1}]), "no size"),
        (document(layers=[{"mediaType": "a/b", "digest": DIGEST, "size": True}]), "no size"),
        (document(layers=[{"mediaType": "a/b", "digest": DIGEST, "size": 1.5}]), "no size"),
        (document(layers=[{"mediaType": "a/b", "digest": DIGEST, "size": 2**63}]), "no size"),
        (document(layers=[{"mediaType": "a/b", "digest": DIGEST, "size": 0, "Size": 9}]), "wrong case"),
        (document(layers=[{"mediaType": "a/b", "size": 0}]), "no digest"),
        (document(layers=[{"mediaType": "a/b", "digest": "sha256:x", "size": 0}]), "bad digest"),
        (document(layers=[{"mediaType": "a b", "digest": DIGEST, "size": 0}]), "media type"),
        (document(layers=[{"mediaType": "a/b;", "digest": DIGEST, "size": 0}]), "media type"),
        (document(layers=[{"mediaType": "a/b;v=\n", "digest": DIGEST, "size": 0}]), "media type"),
        (document(layers=[{"mediaType": f"a/b;{'v' * 128}", "digest": DIGEST, "size": 0}]), "media type"),
        (document(layers=[{"digest": DIGEST, "size": 0}]), "media type"),
        (document(layers=[{"mediaType": "a/b", "digest": DIGEST, "size": 5}]), "two sizes"),
        (document(subject="x"), "subject that is not an object"),
    ],
)
def test_bad_images_are_refused(content: object, problem: str) -> None:
    """Each with one sentence that says what is wrong and where."""
    assert problem in refused(content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (index(config={}), "two types"),
        (index(layers=[]), "two types"),
        (index(manifests=...), "has no manifests"),
        (index(manifests=[{}]), "manifests[0]"),
        (index(manifests=[{**INDEX.descriptor(), "platform": []}]), "platform"),
        (index(manifests=[{**INDEX.descriptor(), "platform": {"os": 1, "architecture": "x"}}]), "platform"),
        (index(manifests=[{**INDEX.descriptor(), "platform": {"os": "a/b"}}]), "platform"),
        (index(manifests=[{**INDEX.descriptor(), "platform": {"OS": "linux"}}]), "wrong case"),
    ],
)
def test_bad_indexes_are_refused(content: object, problem: str) -> None:
    """Each with one sentence that says what is wrong and where."""
    assert problem in refused(content, media_types.OCI_INDEX)


@pytest.mark.parametrize("media_type", ["", "application/json", "text/html", "x" * 10_000, "a\nb"])
def test_other_media_types_are_refused(media_type: str) -> None:
    """A type that is not of a manifest is named, bounded, in the sentence."""
    sentence = refused(document(), media_type)
    assert "not one of a manifest" in sentence
    assert len(sentence) < 250


@pytest.mark.parametrize("media_type", sorted(media_types.SCHEMA_1))
def test_schema_1_is_refused_with_advice(media_type: str) -> None:
    """Images of before 2016 are told what to do."""
    assert "push the image again" in refused({"schemaVersion": 1, "fsLayers": []}, media_type)


def test_one_that_is_too_large_is_refused() -> None:
    """Up to 4 MiB are taken, and not a byte more."""
    content = json.dumps(document()).encode()
    fitting = content + b" " * (MAX_SIZE - len(content))
    assert Manifest.parse(fitting, media_types.OCI_MANIFEST).content == fitting
    assert "larger than 4 MiB" in refused(fitting + b" ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([DIGEST, "a/b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["mediaType", "digest", "size", "platform", "os"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
FIELDS = ["schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject"]


@given(
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
    st.sampled_from(sorted(media_types.IMAGES | media_types.INDEXES)),
)
def test_any_document_is_a_manifest_or_refused(changes: dict[str, Any], media_type: str) -> None:
    """Nothing but InvalidManifest comes of what an upstream sends, and what is taken is of one kind."""
    base = document() if media_type in media_types.IMAGES else index()
    try:
        manifest = Manifest.parse(json.dumps({**base, **changes}).encode(), media_type)
    except InvalidManifest:
        return
    assert not (manifest.manifests and manifest.blobs)
    assert all(descriptor.size >= 0 for descriptor in manifest.manifests + manifest.blobs)
