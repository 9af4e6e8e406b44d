"""`penstock credentials`: secrets come from standard input, and are never shown."""

import io
import json

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from penstock.v1.artifact_pb2 import Artifact
from penstock.v1.credential_pb2 import (
    AwsEcrCredential,
    BasicCredential,
    Credential,
    ListCredentialsResponse,
    RotateEncryptionKeyResponse,
)
from tests.fakes.scripted_api import Refusal

HUB = Credential(
    name="organizations/acme/credentials/hub",
    basic=BasicCredential(username="alice", password_hint="aple"),
    artifact_count=3,
)
ECR = Credential(
    name="organizations/acme/credentials/ecr",
    aws_ecr=AwsEcrCredential(
        access_key_id="AKIAIOSFODNN7EXAMPLE", role_arn="arn:aws:iam::123456789012:role/r"
    ),
)


@pytest.fixture
def typed(monkeypatch):
    """Sets what standard input holds."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_password_is_read_from_standard_input(run, api, typed):
    """Without the line's end, and with everything else, blanks included."""
    api.answer("CreateCredential", HUB)
    typed(" correct horse \n")
    result = run(
        "credentials", "create", "acme/hub", "--type", "basic", "--username", "alice", "--password-stdin"
    )
    assert result.code == 0, result.err
    (request,) = api.requests("CreateCredential")
    assert (request.parent, request.credential_id) == ("organizations/acme", "hub")
    assert request.credential.basic == BasicCredential(username="alice", password=" correct horse ")
    assert "correct horse" not in result.out + result.err
    assert "...aple" in result.out


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_password_in_another_encoding(run, api, monkeypatch, errors):
    """As an old terminal sends it: said to be so and not saved as something else, in every locale."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), "utf-8", errors))
    result = run(
        *("credentials", "create", "acme/hub", "--type", "basic", "--username", "a", "--password-stdin")
    )
    assert result.code == 2
    assert "UTF-8" in result.err
    assert "caf" not in result.err
    assert not api.calls


@pytest.mark.parametrize("text", ['{\n  "type": "service_account"\n}\n', "x" * 70_000])
def test_half_a_password_is_not_saved(run, api, typed, text):
    """A key of Google's is a file of many lines: what could be taken of it is refused, with what to do."""
    typed(text)
    result = run(
        *("credentials", "create", "acme/gar", "--type", "basic"),
        *("--username", "_json_key", "--password-stdin"),
    )
    assert result.code == 2
    assert "jq -c" in result.err
    assert "{" not in result.err
    assert api.calls == []


@pytest.mark.parametrize("text", ["secret\n\n", "secret\r\n", "secret"])
def test_blank_lines_after_a_password_are_nothing(run, api, typed, text):
    """As editors and shells leave them."""
    api.answer("UpdateCredential", HUB)
    typed(text)
    assert run("credentials", "update", "acme/hub", "--password-stdin").code == 0
    assert api.requests("UpdateCredential")[0].credential.basic.password == "secret"


def test_an_access_key_with_all_that_belongs_to_it(run, api, typed):
    """Secret and session token are two lines."""
    api.answer("CreateCredential", ECR)
    typed("the-secret\nthe-session\n")
    result = run(
        *(
            "credentials",
            "create",
            "acme/ecr",
            "--type",
            "aws_ecr",
            "--access-key-id",
            "AKIAIOSFODNN7EXAMPLE",
        ),
        *("--secret-access-key-stdin", "--session-token-stdin", "--role-arn", "arn", "--external-id", "x"),
        *("--endpoint", "http://127.0.0.1:1", "--skip-upstream-check"),
    )
    assert result.code == 0, result.err
    (request,) = api.requests("CreateCredential")
    assert request.skip_upstream_check
    assert request.credential.aws_ecr == AwsEcrCredential(
        access_key_id="AKIAIOSFODNN7EXAMPLE",
        secret_access_key="the-secret",
        session_token="the-session",
        role_arn="arn",
        external_id="x",
        endpoint="http://127.0.0.1:1",
    )
    assert "the-secret" not in result.out + result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--type", "basic", "--username", "alice"], "--password-stdin"),
        (["--type", "basic", "--password-stdin"], "needs --username"),
        (
            ["--type", "basic", "--username", "a", "--role-arn", "x"],
            "--role-arn: not for a credential of type basic",
        ),
        (
            ["--type", "basic", "--username", "a", "--password-stdin", "--session-token-stdin"],
            "--session-token-stdin: not for a credential of type basic",
        ),
        (
            ["--type", "aws_ecr", "--access-key-id", "A", "--username", "a", "--password-stdin"],
            "--username, --password-stdin: not for a credential of type aws_ecr",
        ),
        (["--type", "basic", "--username", "alice", "--password-stdin"], "is empty"),
    ],
)
def test_what_is_missing_is_said(run, api, typed, arguments, words):
    """Before anything is asked of the control plane."""
    typed("")
    result = run("credentials", "create", "acme/hub", *arguments)
    assert result.code == 2
    assert words in result.err
    assert api.calls == []


@pytest.mark.parametrize("name", ["hub", "acme/", "acme/a/b"])
def test_a_name_has_an_organization(run, api, typed, name):
    """The sentence shows a good one."""
    typed("x\n")
    result = run("credentials", "get", name)
    assert result.code == 2
    assert "acme/hub" in result.err


def test_rotating_a_password_sends_nothing_else(run, api, typed):
    """The user name stays, since it is not given."""
    api.answer("UpdateCredential", HUB)
    typed("new password\n")
    assert run("credentials", "update", "acme/hub", "--password-stdin").code == 0
    (request,) = api.requests("UpdateCredential")
    assert request.credential.name == HUB.name
    assert request.credential.basic == BasicCredential(password="new password")
    assert list(request.update_mask.paths) == ["basic"]


def test_rotating_an_access_key_keeps_its_role(run, api, typed):
    """What is not given is read first."""
    api.answer("GetCredential", ECR)
    api.answer("UpdateCredential", ECR)
    typed("new-secret\n")
    result = run(
        "credentials", "update", "acme/ecr", "--access-key-id", "AKIAOTHER", "--secret-access-key-stdin"
    )
    assert result.code == 0, result.err
    (request,) = api.requests("UpdateCredential")
    assert request.credential.aws_ecr == AwsEcrCredential(
        access_key_id="AKIAOTHER", secret_access_key="new-secret", role_arn=ECR.aws_ecr.role_arn
    )


def test_a_refused_rotation_is_told(run, api, typed):
    """With the control plane's sentence and an exit code."""
    api.answer(
        "UpdateCredential",
        Refusal(
            grpc.StatusCode.FAILED_PRECONDITION, "It refuses the credential.", "UPSTREAM_CREDENTIAL_REFUSED"
        ),
    )
    typed("wrong\n")
    result = run("credentials", "update", "acme/hub", "--password-stdin")
    assert result.code == 1
    assert "It refuses the credential." in result.err


@pytest.mark.parametrize("more", [(), ("--access-key-id", "AKIA"), ("--display-name", "x")])
def test_a_session_token_comes_with_its_key(run, api, typed, more):
    """It is refused and not left out in silence: the key that stays would not go with it."""
    typed("the-session\n")
    result = run("credentials", "update", "acme/ecr", "--session-token-stdin", *more)
    assert result.code == 2
    assert "--secret-access-key-stdin" in result.err
    assert not api.calls


def test_an_update_needs_a_change_of_one_type(run, api):
    """And says so."""
    assert "nothing to change" in run("credentials", "update", "acme/hub").err
    result = run("credentials", "update", "acme/hub", "--username", "a", "--role-arn", "b")
    assert (result.code, "one type" in result.err) == (2, True)


def test_list_get_and_delete(run, api):
    """As tables and as JSON."""
    api.answer("ListCredentials", ListCredentialsResponse(credentials=[ECR, HUB]))
    listed = run("credentials", "list", "acme").out
    assert [line.split()[0] for line in listed.splitlines()] == ["CREDENTIAL", "ecr", "hub"]
    api.answer("GetCredential", HUB)
    assert json.loads(run("credentials", "get", "acme/hub", "-o", "json").out)["basic"]["username"] == "alice"
    api.answer("DeleteCredential", Empty())
    assert run("credentials", "delete", "acme/hub").out == "Deleted acme/hub.\n"


def test_rotate_key(run, api):
    """How many secrets there were."""
    api.answer("RotateEncryptionKey", RotateEncryptionKeyResponse(secrets_reencrypted=7))
    assert run("credentials", "rotate-key").out.split() == ["secrets", "encrypted", "anew", "7"]


def test_an_artifact_of_a_private_upstream(run, api, tmp_path):
    """A credential by its id, certificates from a file."""
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    api.answer("CreateArtifact", Artifact(name="organizations/acme/artifacts/app", repository="acme/app"))
    options = ("--credential", "hub", "--ca-certificates", str(tmp_path / "ca.pem"))
    result = run("artifacts", "create", "acme/app", "--upstream", "ghcr.io/a/b", *options)
    assert result.code == 0, result.err
    (request,) = api.requests("CreateArtifact")
    assert request.artifact.credential == HUB.name
    assert request.artifact.ca_certificates == "-----BEGIN CERTIFICATE-----"
    missing = run("artifacts", "create", "acme/app", "--upstream", "x", "--ca-certificates", "gone.pem")
    assert (missing.code, "gone.pem cannot be read" in missing.err) == (2, True)


def test_an_artifact_gets_another_credential_or_none(run, api):
    """The mask names what was given."""
    api.answer("UpdateArtifact", Artifact(name="organizations/acme/artifacts/app", repository="acme/app"))
    run("artifacts", "update", "acme/app", "--credential", "hub")
    run("artifacts", "update", "acme/app", "--credential", "", "--ca-certificates", "")
    one, none = api.requests("UpdateArtifact")
    assert (one.artifact.credential, list(one.update_mask.paths)) == (HUB.name, ["credential"])
    assert (none.artifact.credential, sorted(none.update_mask.paths)) == (
        "",
        ["ca_certificates", "credential"],
    )
