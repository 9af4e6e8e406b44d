"""Media types of manifests, and what stands in for them."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA_1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
# Of a draft of image specification 1.1.
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"

# Manifests of manifests.
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
# Manifests of a config and layers.
IMAGES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
SCHEMA_1 = frozenset({DOCKER_SCHEMA_1, DOCKER_SCHEMA_1_SIGNED})
# All that registries have as manifests; what has another type is a blob.
MANIFESTS = INDEXES | IMAGES | SCHEMA_1 | {OCI_ARTIFACT}

# Value of the Accept header for manifests: all that `clients.oci.manifest` reads.
ACCEPT_MANIFESTS = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
