"""OrganizationService as its callers notice it."""

from google.protobuf.field_mask_pb2 import FieldMask

from penstock.v1 import organization_pb2 as pb
from tests.servers.control_plane import Plane, refused


async def test_standard_methods(plane: Plane) -> None:
    """Create, get, list, update, delete."""
    api = plane.root.organizations
    created = await api.CreateOrganization(
        pb.CreateOrganizationRequest(
            organization_id="acme", organization=pb.Organization(display_name="Acme")
        )
    )
    assert (created.name, created.display_name) == ("organizations/acme", "Acme")
    assert created.uid
    assert created.etag
    assert created.create_time == created.update_time
    assert await api.GetOrganization(pb.GetOrganizationRequest(name="organizations/acme")) == created

    created.display_name = "Acme Inc."
    updated = await api.UpdateOrganization(pb.UpdateOrganizationRequest(organization=created))
    assert (updated.display_name, updated.uid) == ("Acme Inc.", created.uid)
    assert updated.etag != created.etag
    assert updated.update_time.ToNanoseconds() > created.update_time.ToNanoseconds()

    listed = await api.ListOrganizations(pb.ListOrganizationsRequest())
    assert list(listed.organizations) == [updated]
    await api.DeleteOrganization(pb.DeleteOrganizationRequest(name=updated.name))
    error = await refused(api.GetOrganization(pb.GetOrganizationRequest(name=updated.name)))
    assert (error.code.name, error.reason) == ("NOT_FOUND", "ORGANIZATION_UNKNOWN")


async def test_a_name_is_taken_once(plane: Plane) -> None:
    """The second one is told so, also when it only validates."""
    await plane.organization("acme")
    for validate_only in (False, True):
        error = await refused(
            plane.root.organizations.CreateOrganization(
                pb.CreateOrganizationRequest(organization_id="acme", validate_only=validate_only)
            )
        )
        assert (error.code.name, error.reason) == ("ALREADY_EXISTS", "ORGANIZATION_EXISTS")
        assert (error.metadata or {})["name"] == "organizations/acme"


async def test_everything_wrong_is_told_at_once(plane: Plane) -> None:
    """Each field with what is wrong, and a good example."""
    error = await refused(
        plane.root.organizations.CreateOrganization(
            pb.CreateOrganizationRequest(
                organization_id="ACME!", organization=pb.Organization(display_name="x" * 101)
            )
        )
    )
    assert error.code.name == "INVALID_ARGUMENT"
    found = {item.field: item.description for item in error.violations}
    assert set(found) == {"organization_id", "organization.display_name"}
    assert "like acme" in found["organization_id"]


async def test_validate_only_keeps_nothing(plane: Plane) -> None:
    """The answer is as it would be, without what only a saved one has."""
    api = plane.root.organizations
    before = plane.revision()
    answer = await api.CreateOrganization(
        pb.CreateOrganizationRequest(organization_id="acme", validate_only=True)
    )
    assert answer == pb.Organization(name="organizations/acme", customer_access=pb.Organization.OPEN)
    assert not (await api.ListOrganizations(pb.ListOrganizationsRequest())).organizations
    assert plane.revision() == before

    saved = await plane.organization("acme")
    changed = pb.Organization(name=saved.name, display_name="other")
    preview = await api.UpdateOrganization(
        pb.UpdateOrganizationRequest(organization=changed, validate_only=True)
    )
    assert preview.display_name == "other"
    assert await api.GetOrganization(pb.GetOrganizationRequest(name=saved.name)) == saved


async def test_masks(plane: Plane) -> None:
    """A mask clears what it names, leaves what it does not, and refuses what does not exist."""
    api = plane.root.organizations
    await plane.organization("acme")
    name = "organizations/acme"

    async def update(display_name: str, *paths: str) -> pb.Organization:
        return await api.UpdateOrganization(
            pb.UpdateOrganizationRequest(
                organization=pb.Organization(name=name, display_name=display_name, uid="ignored"),
                update_mask=FieldMask(paths=paths),
            )
        )

    assert (await update("one")).display_name == "one"
    assert (await update("")).display_name == "one"
    assert (await update("", "display_name")).display_name == ""
    assert (await update("two", "*")).display_name == "two"
    assert (await update("three", "uid", "create_time")).display_name == "two"
    error = await refused(update("four", "nonsense"))
    assert [item.field for item in error.violations] == ["update_mask"]


async def test_an_update_that_changes_nothing_changes_nothing(plane: Plane) -> None:
    """Times and etag stay."""
    saved = await plane.organization("acme")
    again = await plane.root.organizations.UpdateOrganization(
        pb.UpdateOrganizationRequest(organization=saved, update_mask=FieldMask(paths=["*"]))
    )
    assert again == saved


async def test_etags_make_changes_conditional(plane: Plane) -> None:
    """Of two who read the same version, the second is told to read again."""
    api = plane.root.organizations
    saved = await plane.organization("acme")
    first = pb.Organization(name=saved.name, display_name="first", etag=saved.etag)
    second = pb.Organization(name=saved.name, display_name="second", etag=saved.etag)
    await api.UpdateOrganization(pb.UpdateOrganizationRequest(organization=first))
    error = await refused(api.UpdateOrganization(pb.UpdateOrganizationRequest(organization=second)))
    assert (error.code.name, error.reason) == ("ABORTED", "ETAG_MISMATCH")
    error = await refused(
        api.DeleteOrganization(pb.DeleteOrganizationRequest(name=saved.name, etag=saved.etag))
    )
    assert error.reason == "ETAG_MISMATCH"
    current = await api.GetOrganization(pb.GetOrganizationRequest(name=saved.name))
    await api.DeleteOrganization(pb.DeleteOrganizationRequest(name=saved.name, etag=current.etag))


async def test_pages(plane: Plane) -> None:
    """Every organization is on exactly one page, in order; strange tokens are refused."""
    api = plane.root.organizations
    for number in range(7):
        await plane.organization(f"org-{number}")
    seen: list[str] = []
    token = ""
    sizes = []
    while True:
        page = await api.ListOrganizations(pb.ListOrganizationsRequest(page_size=3, page_token=token))
        seen += [item.name for item in page.organizations]
        sizes.append(len(page.organizations))
        token = page.next_page_token
        if not token:
            break
    assert seen == [f"organizations/org-{number}" for number in range(7)]
    assert sizes == [3, 3, 1]
    error = await refused(
        api.ListOrganizations(pb.ListOrganizationsRequest(page_size=-1, page_token="made up"))
    )
    assert [item.field for item in error.violations] == ["page_size", "page_token"]


async def test_one_that_is_used_is_deleted_by_force_only(plane: Plane) -> None:
    """What is in it is counted; with force all of it goes, tokens included."""
    api = plane.root.organizations
    await plane.organization("acme")
    _, token = await plane.user("acme", "read_only")
    await plane.artifact("acme", "app")
    error = await refused(api.DeleteOrganization(pb.DeleteOrganizationRequest(name="organizations/acme")))
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "ORGANIZATION_NOT_EMPTY")
    assert error.metadata == {"artifacts": "1", "users": "1"}
    await api.DeleteOrganization(pb.DeleteOrganizationRequest(name="organizations/acme", force=True))
    member = await plane.client(token)
    error = await refused(member.organizations.ListOrganizations(pb.ListOrganizationsRequest()))
    assert error.code.name == "UNAUTHENTICATED"


async def test_nodes_hear_of_organizations(plane: Plane) -> None:
    """Creating and deleting raises the configuration revision; a new display name does not."""
    before = plane.revision()
    saved = await plane.organization("acme")
    created = plane.revision()
    saved.display_name = "Acme"
    await plane.root.organizations.UpdateOrganization(pb.UpdateOrganizationRequest(organization=saved))
    renamed = plane.revision()
    await plane.root.organizations.DeleteOrganization(pb.DeleteOrganizationRequest(name=saved.name))
    assert before < created == renamed < plane.revision()
