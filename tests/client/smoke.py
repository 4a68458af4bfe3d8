"""Drives a running API with nothing but the client that was generated from docs/openapi.json: what the description says must be so.

usage: smoke.py ADDRESS CREDENTIAL_FILE   (the first administrator's one-time password)
"""

import sys

import httpx
from vault_client import AuthenticatedClient, Client
from vault_client.api.auth import post_auth_login, post_auth_logout
from vault_client.api.destroy import post_destroy_by_path
from vault_client.api.list_ import get_list_by_prefix
from vault_client.api.me import get_me
from vault_client.api.records import delete_records_by_path, get_records_by_path, put_records_by_path
from vault_client.api.server import get_version
from vault_client.api.undelete import post_undelete_by_path
from vault_client.api.versions import get_versions_by_path
from vault_client.models import Credentials, Problem, RecordToWrite, RecordToWriteDataType0, VersionNumbers

PASSWORD = "a password of four plain words"
PATH = "shared/generated/client"
passed = 0


def check(what, condition):
    global passed
    if not condition:
        print(f"FAILED  {what}")
        print(f"checks: {passed} passed, 1 failed, 0 skipped")
        sys.exit(1)
    passed += 1
    print(f"ok      {what}")


def plain_separators(request):
    """A generated client encodes the '/' of a path that is one parameter; the API refuses encoded separators."""
    request.url = request.url.copy_with(raw_path=request.url.raw_path.replace(b"%2F", b"/"))


def main(address, credential_file):
    with open(credential_file, encoding="utf-8") as file:
        one_time = file.read().strip()
    hooks = {"event_hooks": {"request": [plain_separators]}}
    stranger = Client(base_url=address)
    check("the version is told to everybody", get_version.sync(client=stranger).name == "aether-vault")

    wrong = post_auth_login.sync(client=stranger, body=Credentials(username="admin", password="wrong"))
    check("a wrong password is a problem", isinstance(wrong, Problem) and wrong.reason == "LoginFailed" and wrong.status == 401)
    token = post_auth_login.sync(
        client=stranger, body=Credentials(username="admin", password=one_time, new_password=PASSWORD)
    )
    check("logging in answers a token", bool(token.token) and token.token_type == "Bearer")

    client = AuthenticatedClient(base_url=address, token=token.token, httpx_args=hooks)
    check("the caller is known", get_me.sync(client=client).name == "admin")

    body = RecordToWrite(data=RecordToWriteDataType0.from_dict({"user": "orders", "port": 5432}), cas=0)
    check("a record is written", put_records_by_path.sync(PATH, client=client, body=body).version == 1)
    again = put_records_by_path.sync_detailed(PATH, client=client, body=body)
    check("check-and-set holds", again.status_code == 409 and again.parsed.reason == "CheckAndSetFailed")
    record = get_records_by_path.sync(PATH, client=client)
    check("it is read back", record.data.to_dict() == {"user": "orders", "port": 5432} and record.version == 1)
    items = get_list_by_prefix.sync("shared/generated", client=client).items
    check("it is listed", [item.path for item in items] == [PATH])

    check("it is deleted", delete_records_by_path.sync_detailed(PATH, client=client).status_code == 204)
    gone = get_records_by_path.sync(PATH, client=client)
    check("what is deleted is gone", isinstance(gone, Problem) and gone.status == 410)
    one = VersionNumbers(versions=[1])
    check("it is brought back", post_undelete_by_path.sync_detailed(PATH, client=client, body=one).status_code == 204)
    check("it is destroyed", post_destroy_by_path.sync_detailed(PATH, client=client, body=one).status_code == 204)
    states = [version.state.value for version in get_versions_by_path.sync(PATH, client=client).versions]
    check("its versions say so", states == ["destroyed"])

    check("logging out ends it", post_auth_logout.sync_detailed(client=client).status_code == 204)
    check("the token is worth nothing now", get_me.sync_detailed(client=client).status_code == 401)
    check("an unreachable API is no answer", unreachable())
    print(f"checks: {passed} passed, 0 failed, 0 skipped")


def unreachable():
    try:
        get_version.sync_detailed(client=Client(base_url="http://127.0.0.1:9"))
    except httpx.HTTPError:
        return True
    return False


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
