"""Answers to requests for manifests (distribution specification, "Pulling manifests")."""

from dataplane.http.message import Answer, Headers, Request
from dataplane.http.ranges import is_unchanged, require_match
from dataplane.resolve.manifest import ResolvedManifest


def answer(request: Request, manifest: ResolvedManifest) -> Answer:
    """Answer GET or HEAD with the manifest as it is stored, whatever Accept says; raises Refusal."""
    digest = str(manifest.digest)
    etag = f'"{digest}"'
    require_match(request.if_match, etag)
    headers: Headers = (("Docker-Content-Digest", digest), ("ETag", etag))
    if is_unchanged(request.if_none_match, etag):
        return Answer(304, headers)
    return Answer.whole(200, (("Content-Type", manifest.media_type), *headers), manifest.content)
