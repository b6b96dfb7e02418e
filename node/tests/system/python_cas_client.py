"""Signs in with python-cas (PyPI) as an application and its user would; run by sign_in.rs.

Usage: python_cas_client.py CLUSTER_JSON. Prints one `ok:` line for each promise it saw kept.
"""

import json
import sys
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import cas
import requests


class Hidden(HTMLParser):
    """Collects the hidden fields of the page's form."""

    def __init__(self):
        super().__init__()
        self.fields = {}

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "input" and attrs.get("type") == "hidden":
            self.fields[attrs["name"]] = attrs.get("value", "")


def ticket_of(response):
    assert response.status_code in (302, 303), (response.status_code, response.text)
    return parse_qs(urlsplit(response.headers["location"]).query)["ticket"][0]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        cluster = json.load(file)

    person = requests.Session()
    person.trust_env = False
    person.verify = cluster["ca_file"]

    def application(version, service):
        session = requests.Session()
        session.trust_env = False
        return cas.CASClient(
            version=version,
            service_url=service,
            server_url=cluster["front"] + "/",
            verify_ssl_certificate=cluster["ca_file"],
            session=session,
        )

    first = application(3, "http://127.0.0.1:8001/first")
    page = person.get(first.get_login_url(), allow_redirects=False)
    assert page.status_code == 200, page.status_code
    hidden = Hidden()
    hidden.feed(page.text)
    form = dict(hidden.fields, username=cluster["username"], password=cluster["password"])
    ticket = ticket_of(person.post(first.get_login_url(), data=form, allow_redirects=False))
    user, attributes, _ = first.verify_ticket(ticket)
    assert user == cluster["username"], user
    assert attributes.get("isFromNewLogin") == "true", attributes
    print("ok: CAS 3", user, sorted(attributes))

    assert first.verify_ticket(ticket)[0] is None
    print("ok: used ticket is refused")

    for version in (2, 1):
        other = application(version, f"http://127.0.0.1:8002/cas{version}")
        answer = person.get(other.get_login_url(), allow_redirects=False)
        user, _, _ = other.verify_ticket(ticket_of(answer))
        assert user == cluster["username"], (version, user)
        print(f"ok: CAS {version}", user)
    print("ok: second application without a password")

    answer = person.get(first.get_logout_url(), allow_redirects=False)
    assert answer.status_code == 200, answer.status_code
    answer = person.get(first.get_login_url(), allow_redirects=False)
    assert answer.status_code == 200 and 'type="password"' in answer.text, answer.status_code
    print("ok: signed out")


main()
