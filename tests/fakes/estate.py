"""What a fake control plane has: organizations, tokens, artifacts and their content, as tests give them."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from google.protobuf import duration_pb2

from clients.control.token import TokenKind, new_token, sha256
from clients.oci.digest import Digest
from clients.oci.manifest import Manifest
from clients.oci.tag_rule import TagRule
from penstock.v1 import config_pb2, entitlement_pb2, node_pb2
from penstock.v1.user_pb2 import Role
from tests.fakes.images import Image


@dataclass
class FakeArtifact:
    """What the fake knows of one artifact."""

    uid: str
    organization_uid: str
    repository: str
    upstream: str
    content_revision: int = 1
    tags: dict[str, Digest] = field(default_factory=dict)
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    # What GetUpstreamAccess gives, besides where the upstream is.
    authorization: str = ""
    expire_time: float | None = None
    ca_certificates: str = ""
    # Fields of its CachePolicy.
    cache: dict[str, list[str]] = field(default_factory=dict)
    # What ResolveReference says of tags.
    max_age: duration_pb2.Duration | None = None

    def config(self) -> config_pb2.ArtifactConfig:
        return config_pb2.ArtifactConfig(
            uid=self.uid,
            organization_uid=self.organization_uid,
            repository=self.repository,
            content_revision=self.content_revision,
            **self.cache,
        )

    def reached_by(self, digest: Digest, scope: node_pb2.TagScope) -> str | None:
        """A tag of the scope that leads to a digest, empty where there is no scope; None for none."""
        if not scope.rules:
            return ""
        rules = [
            TagRule.of(all_tags=rule.all_tags, patterns=rule.patterns, version_ranges=rule.version_ranges)
            for rule in scope.rules
        ]
        for tag, target in self.tags.items():
            if any(rule.matches(tag) for rule in rules) and digest in self._below(target):
                return tag
        return None

    def _below(self, digest: Digest) -> set[Digest]:
        found: set[Digest] = set()
        left = [digest]
        while left:
            digest = left.pop()
            if digest in found:
                continue
            found.add(digest)
            if manifest := self.manifests.get(digest):
                left += [member.digest for member in (*manifest.manifests, *manifest.blobs)]
            left += [
                each.digest
                for each in self.manifests.values()
                if each.subject and each.subject.digest == digest
            ]
        return found


class Estate:
    """Each call that changes it raises the revision, and those who watch get the change."""

    def __init__(self) -> None:
        self.revision = 1
        self.organizations: dict[str, config_pb2.OrganizationConfig] = {}
        self.artifacts: dict[str, FakeArtifact] = {}
        self.tokens: dict[str, config_pb2.TokenConfig] = {}
        self.customers: dict[str, config_pb2.CustomerConfig] = {}
        self.entitlements: dict[str, config_pb2.EntitlementConfig] = {}
        # Followers of the configuration; None ends their stream.
        self.watchers: set[asyncio.Queue[node_pb2.WatchConfigResponse | None]] = set()
        self._numbers = iter(range(1, 1_000_000))

    def add_organization(self, organization_id: str) -> str:
        """Give the uid of a new organization."""
        uid = f"org-{next(self._numbers)}"
        entry = config_pb2.OrganizationConfig(uid=uid, organization_id=organization_id)
        self.organizations[uid] = entry
        self._publish(config_pb2.ConfigurationChange(organizations=[entry]))
        return uid

    def add_token(
        self,
        organization_uid: str = "",
        role: Role.ValueType = Role.ROLE_READ_ONLY,
        expires_at: float | None = None,
        customer_uid: str = "",
    ) -> str:
        """Give the secret of a new token; without an organization it is the administrator's."""
        secret = new_token(TokenKind.USER)
        entry = config_pb2.TokenConfig(
            uid=f"token-{next(self._numbers)}",
            sha256=sha256(secret),
            organization_uid=organization_uid,
            user_uid="user-1",
            role=role,
            customer_uid=customer_uid,
        )
        if expires_at is not None:
            entry.expire_time.FromNanoseconds(int(expires_at * 1e9))
        self.tokens[entry.uid] = entry
        self._publish(config_pb2.ConfigurationChange(tokens=[entry]))
        return secret

    def close(self, organization_uid: str) -> None:
        """Let the customers of an organization see only what they are entitled to."""
        self.organizations[organization_uid].entitled_only = True
        entry = self.organizations[organization_uid]
        self._publish(config_pb2.ConfigurationChange(organizations=[entry]))

    def add_customer(self, organization_uid: str) -> str:
        """Give the uid of a new customer."""
        uid = f"customer-{next(self._numbers)}"
        entry = config_pb2.CustomerConfig(uid=uid, organization_uid=organization_uid, customer_id=uid)
        self.customers[uid] = entry
        self._publish(config_pb2.ConfigurationChange(customers=[entry]))
        return uid

    def entitle(
        self,
        customer_uid: str,
        artifact: FakeArtifact,
        *patterns: str,
        version_ranges: Iterable[str] = (),
        expires_at: float | None = None,
    ) -> str:
        """Give the uid of a new entitlement to tags of an artifact; to all where nothing names some."""
        entry = config_pb2.EntitlementConfig(
            uid=f"entitlement-{next(self._numbers)}", customer_uid=customer_uid
        )
        entry.grants.add(
            artifact_uid=artifact.uid,
            tags=entitlement_pb2.TagRule(patterns=patterns, version_ranges=version_ranges),
        )
        tags = entry.grants[0].tags
        tags.all_tags = not (tags.patterns or tags.version_ranges)
        if expires_at is not None:
            entry.expire_time.FromNanoseconds(int(expires_at * 1e9))
        self.entitlements[entry.uid] = entry
        self._publish(config_pb2.ConfigurationChange(entitlements=[entry]))
        return entry.uid

    def remove_entitlement(self, uid: str) -> None:
        """Delete an entitlement."""
        del self.entitlements[uid]
        self._publish(config_pb2.ConfigurationChange(removed_entitlement_uids=[uid]))

    def remove_token(self, secret: str) -> None:
        """Revoke a token."""
        uid = next(entry.uid for entry in self.tokens.values() if entry.sha256 == sha256(secret))
        del self.tokens[uid]
        self._publish(config_pb2.ConfigurationChange(removed_token_uids=[uid]))

    def add_artifact(self, repository: str, upstream: str = "127.0.0.1:1/none") -> FakeArtifact:
        """Add an artifact, and its organization where that is new; `upstream` is `host:port/repository`."""
        organization_id = repository.partition("/")[0]
        owners = [o.uid for o in self.organizations.values() if o.organization_id == organization_id]
        owner = owners[0] if owners else self.add_organization(organization_id)
        artifact = FakeArtifact(f"artifact-{next(self._numbers)}", owner, repository, upstream)
        self.artifacts[artifact.uid] = artifact
        self._publish(config_pb2.ConfigurationChange(artifacts=[artifact.config()]))
        return artifact

    def remove_artifact(self, artifact: FakeArtifact) -> None:
        """Delete an artifact."""
        del self.artifacts[artifact.uid]
        self._publish(config_pb2.ConfigurationChange(removed_artifact_uids=[artifact.uid]))

    def hold(self, artifact: FakeArtifact, image: Image, tags: Iterable[str] = ()) -> None:
        """Let an artifact have an image or index with its children; tags that are named move to it."""
        for part in (image, *image.children):
            artifact.manifests[part.digest] = Manifest.parse(part.manifest, part.media_type)
        artifact.tags |= dict.fromkeys(tags, image.digest)
        self.touch(artifact)

    def touch(self, artifact: FakeArtifact) -> None:
        """Raise an artifact's content revision, as a sync does that changed something."""
        artifact.content_revision += 1
        self.update(artifact)

    def update(self, artifact: FakeArtifact) -> None:
        """Tell of an artifact's other policies, as after `artifacts update`."""
        self._publish(config_pb2.ConfigurationChange(artifacts=[artifact.config()]))

    # What followers of the configuration see.

    def send(self, message: node_pb2.WatchConfigResponse) -> None:
        """Send every follower a message as it is."""
        for watcher in self.watchers:
            watcher.put_nowait(message)

    def end_streams(self) -> None:
        """End the streams of all followers, as a server that drains does."""
        for watcher in self.watchers:
            watcher.put_nowait(None)

    def snapshot(self) -> config_pb2.Configuration:
        """The configuration as it is now."""
        return config_pb2.Configuration(
            revision=self.revision,
            organizations=self.organizations.values(),
            artifacts=[artifact.config() for artifact in self.artifacts.values()],
            tokens=self.tokens.values(),
            customers=self.customers.values(),
            entitlements=self.entitlements.values(),
        )

    def _publish(self, change: config_pb2.ConfigurationChange) -> None:
        change.from_revision = self.revision
        self.revision += 1
        change.to_revision = self.revision
        self.send(node_pb2.WatchConfigResponse(change=change))
