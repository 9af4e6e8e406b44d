"""Fetches what a tag leads to and is not held: its manifest, and the children of an index to the end."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Final, TypeAlias

from clients.oci.errors import UpstreamError, UpstreamInvalid, UpstreamNotFound
from clients.oci.manifest import Manifest
from clients.oci.platform import is_kept
from clients.process.merge import Merge
from controlplane.catalog.held import FOLLOWED
from controlplane.sync.asking import Asking

# Digests of the manifests that an index lists; of an image, none.
Children: TypeAlias = tuple[str, ...]

# Manifests on the way from a tag to an image. An index of indexes makes three; nothing known goes further.
_DEPTH: Final = 4
# Manifests under one tag; the largest indexes in public list some dozens.
_WIDTH: Final = 1000
# How many manifests' children stay in memory during a run, for other tags that share them: 15 MB at most.
_REMEMBERED: Final = 50_000


class Walk:
    """The manifests of one run, each fetched once at most, however many tags lead to it.

    `held` says which of some digests the artifact holds, with their children; it is not asked where
    `empty` says that the artifact held nothing before. `keep` takes what was fetched. Of an index, only
    children of `platforms` are followed, where there are any. A child that the upstream does not have is
    left out: such an index is served as the upstream serves it.
    """

    def __init__(
        self,
        registry: Asking,
        host: str,
        held: Callable[[Collection[str]], Awaitable[Mapping[str, Children]]],
        keep: Callable[[Manifest], Awaitable[None]],
        platforms: Collection[str] = (),
        *,
        empty: bool = False,
    ) -> None:
        self._registry = registry
        self._host = host
        self._held = held
        self._keep = keep
        self._platforms = platforms
        # Whatever is held is in `_known`.
        self._knows_all = empty
        self._known: dict[str, Children] = {}
        self._refused: dict[str, UpstreamError] = {}
        self._fetches: Merge[str, Children] = Merge()

    async def stop(self) -> None:
        """Give up what is being fetched."""
        await self._fetches.stop()

    async def add(self, manifest: Manifest) -> None:
        """Keep a manifest that was fetched already."""
        await self._keep(manifest)
        self._remember(
            str(manifest.digest),
            tuple(
                str(child.digest)
                for child in manifest.manifests
                if child.media_type in FOLLOWED and is_kept(child.platform, self._platforms)
            ),
        )

    async def ensure(self, root: str) -> None:
        """Fetch and keep what is not held of this manifest and all below it.

        Raises UpstreamError where a part cannot be had, or where there is no end to it.
        """
        seen = {root}
        level = [root]
        for _ in range(_DEPTH):
            await self._look_up(level)
            below: list[str] = []
            for digest in level:
                try:
                    children = await self._children(digest)
                except UpstreamNotFound:
                    if digest == root:
                        raise
                    continue
                below += [child for child in dict.fromkeys(children) if child not in seen]
                seen.update(children)
                if len(seen) > _WIDTH:
                    raise UpstreamInvalid(
                        self._host, f"The index {root} leads to more than {_WIDTH} manifests."
                    )
            if not below:
                return
            level = below
        raise UpstreamInvalid(self._host, f"The index {root} is nested deeper than {_DEPTH} levels.")

    async def _look_up(self, digests: list[str]) -> None:
        if self._knows_all:
            return
        unknown = [digest for digest in digests if digest not in self._known]
        if unknown:
            for digest, children in (await self._held(unknown)).items():
                self._remember(digest, children)

    async def _children(self, digest: str) -> Children:
        if digest in self._known:
            return self._known[digest]
        if digest in self._refused:
            raise self._refused[digest]
        return await self._fetches.run(digest, partial(self._fetch, digest))

    async def _fetch(self, digest: str) -> Children:
        try:
            manifest = await self._registry.get_manifest(digest)
        except (UpstreamNotFound, UpstreamInvalid) as error:
            # It will not be another answer for the next tag.
            self._refused[digest] = error
            raise
        await self.add(manifest)
        return self._known[digest]

    def _remember(self, digest: str, children: Children) -> None:
        if len(self._known) >= _REMEMBERED:
            self._knows_all = False
            del self._known[next(iter(self._known))]
        self._known[digest] = children
