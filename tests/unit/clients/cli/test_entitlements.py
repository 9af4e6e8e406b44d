"""`penstock entitlements`."""

from penstock.v1.entitlement_pb2 import Entitlement, ListEntitlementsResponse, TagRule

TRIAL = Entitlement(
    name="organizations/acme/entitlements/trial",
    customer="organizations/acme/customers/globex",
    grants=[
        Entitlement.Grant(artifact="organizations/acme/artifacts/team~app", tags=TagRule(patterns=["7.*"]))
    ],
)


def test_artifacts_are_listed_as_they_are_written(run, api):
    """With the slashes that their repositories have, and not as in resource names."""
    api.answer("ListEntitlements", ListEntitlementsResponse(entitlements=[TRIAL]))
    (line,) = run("entitlements", "list", "acme").out.splitlines()[1:]
    assert line.split()[:4] == ["trial", "globex", "team/app", "(7.*)"]


def test_an_entitlement_that_lasts(run, api):
    """`never` is what `--expires` is without being given, and may be given."""
    api.answer("CreateEntitlement", TRIAL)
    wanted = ("--name", "trial", "--customer", "globex", "--artifact", "team/app")
    assert run("entitlements", "create", "acme", *wanted, "--expires", "never").code == 0
    assert not api.requests("CreateEntitlement")[0].entitlement.HasField("expire_time")
