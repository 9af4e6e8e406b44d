"""The first start: an administrator and a node, with tokens in files that only their owner can read.

A token is written to its file before the database knows it. If the process dies in between, the
next start finds the file, and an installation without administrator: it takes the token as it is.
"""

import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.control.token import TokenKind, is_well_formed, new_token, sha256
from clients.process.exits import ConfigurationError
from clients.process.place import ADMIN_TOKEN_FILE, NODE_TOKEN_FILE, read_secret, write_private
from controlplane.model.database import Database
from controlplane.model.identifiers import new_uid
from controlplane.model.roles import Role
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.model.tables import AccessToken, Node, Singleton, User

ADMINISTRATOR: Final = "admin"
LOCAL_NODE: Final = "local"
# How to get another token, for sentences; takes the kind.
_RESET: Final = f"run `{sys.executable} -m controlplane reset-token {{}}` to get a new one"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A token that the first start makes: what it is called, its file, and how the tables keep it."""

    word: str
    prefix: TokenKind
    file: str
    known: Callable[[AsyncSession, bytes], Awaitable[bool]]
    save: Callable[[AsyncSession, str, datetime], Awaitable[None]]


async def prepare(database: Database, directory: Path, now: datetime) -> str | None:
    """Make what an empty database lacks; give the administrator's token if it is new.

    Says in the log what to do where the files in `directory` and the database do not belong
    together. Raises ConfigurationError where a file is in the way.
    """
    made: dict[str, str] = {}
    async with database.write() as session:
        # Replicas that start at once take turns.
        await session.exec(select(Singleton).with_for_update())
        first = await _no_administrator(session)
        for kind in (_NODE, _ADMIN):
            path = directory / kind.file
            if not first:
                await _compare(session, kind, path)
                continue
            token = _found(kind, path)
            if token is None:
                token = made[kind.word] = new_token(kind.prefix)
                _write(path, token)
            else:
                _LOG.info("The %s's token is the one found in %s.", kind.word, path)
            await kind.save(session, token, now)
            await database.raise_revision(session, Section.TOKENS)
    return made.get(_ADMIN.word)


async def reset(database: Database, directory: Path, word: str, now: datetime) -> str:
    """Make a new token for the administrator (`admin`) or the local node (`node`), and give it.

    The tokens that it had before are refused from now on.
    """
    kind = {item.word: item for item in (_ADMIN, _NODE)}[word]
    token = new_token(kind.prefix)
    _write(directory / kind.file, token)
    async with database.write() as session:
        await kind.save(session, token, now)
        await database.raise_revision(session, Section.TOKENS)
    return token


async def _no_administrator(session: AsyncSession) -> bool:
    return (await session.exec(select(User).where(col(User.organization_id).is_(None)))).first() is None


async def _is_admin_token(session: AsyncSession, digest: bytes) -> bool:
    return (
        await session.exec(select(AccessToken.id).where(AccessToken.sha256 == digest))
    ).first() is not None


async def _save_administrator(session: AsyncSession, token: str, now: datetime) -> None:
    found = await session.exec(
        select(User).where(col(User.organization_id).is_(None), User.email == ADMINISTRATOR)
    )
    user = found.first()
    if user is None:
        user = User(uid=new_uid(), email=ADMINISTRATOR, role=Role.ADMIN, create_time=now, update_time=now)
        session.add(user)
        await session.flush()
    await session.exec(delete(AccessToken).where(col(AccessToken.user_id) == saved_id(user)))
    session.add(
        AccessToken(
            uid=new_uid(),
            user_id=saved_id(user),
            sha256=sha256(token),
            hint=token[-4:],
            label=ADMIN_TOKEN_FILE,
            create_time=now,
        )
    )


async def _is_node_token(session: AsyncSession, digest: bytes) -> bool:
    return (await session.exec(select(Node.id).where(Node.sha256 == digest))).first() is not None


async def _save_node(session: AsyncSession, token: str, now: datetime) -> None:
    node = (await session.exec(select(Node).where(Node.node_id == LOCAL_NODE))).first()
    if node is None:
        node = Node(uid=new_uid(), node_id=LOCAL_NODE, sha256=b"", create_time=now)
    node.sha256 = sha256(token)
    session.add(node)


_ADMIN: Final = _Kind("admin", TokenKind.USER, ADMIN_TOKEN_FILE, _is_admin_token, _save_administrator)
_NODE: Final = _Kind("node", TokenKind.NODE, NODE_TOKEN_FILE, _is_node_token, _save_node)


async def _compare(session: AsyncSession, kind: _Kind, path: Path) -> None:
    try:
        token = read_secret(path)
    except FileNotFoundError:
        _LOG.info(
            "There is no %s: the %s's token was made earlier, and only its owner has it. If it is lost, %s.",
            path,
            kind.word,
            _RESET.format(kind.word),
        )
        return
    if not await kind.known(session, sha256(token)):
        _LOG.warning(
            "The token in %s is not one of this database, and is refused: put the right one there, or %s.",
            path,
            _RESET.format(kind.word),
        )


def _found(kind: _Kind, path: Path) -> str | None:
    try:
        token = read_secret(path)
    except FileNotFoundError:
        return None
    if not is_well_formed(token) or not token.startswith(f"{kind.prefix}_"):
        raise ConfigurationError(
            f"{path} holds no {kind.word}'s token of Penstock: delete it, and the next start makes one."
        )
    return token


def _write(path: Path, token: str) -> None:
    try:
        write_private(path, f"{token}\n".encode())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(
            f"{path} cannot be written ({reason}): make its directory writable."
        ) from error
