"""Signs in with python-cas (PyPI) as an application and its user would; run by python_cas.rs.

Usage: python_cas.py CLUSTER_JSON. Prints one `ok:` line for each promise it saw kept.
"""

import json
import queue
import sys
import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
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


class Logouts(BaseHTTPRequestHandler):
    """Takes logout requests, as a view of an application would."""

    taken = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.taken.put(parse_qs(body)["logoutRequest"][0])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


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
        # The client for SAML does not hand its own setting on.
        session.verify = cluster["ca_file"]
        return cas.CASClient(
            version=version,
            service_url=service,
            server_url=cluster["front"] + "/",
            verify_ssl_certificate=cluster["ca_file"],
            session=session,
        )

    server = HTTPServer(("127.0.0.1", 0), Logouts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    first = application(3, f"http://127.0.0.1:{server.server_port}/first")
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

    def check(attributes):
        assert attributes["mail"] == "casuser@example.org", attributes
        assert attributes["memberOf"] == ["library", "demo"], attributes

    check(attributes)
    assert first.verify_ticket(ticket)[0] is None
    print("ok: used ticket is refused")

    for version, name in ((2, "CAS 2"), (1, "CAS 1"), ("CAS_2_SAML_1_0", "SAML 1.1")):
        other = application(version, f"http://127.0.0.1:8002/{version}")
        answer = person.get(other.get_login_url(), allow_redirects=False)
        ticket_of_other = ticket_of(answer)
        user, attributes, _ = other.verify_ticket(ticket_of_other)
        assert user == cluster["username"], (version, user)
        # CAS 1 has none.
        if version != 1:
            check(attributes)
        print(f"ok: {name}", user)
    assert other.verify_ticket(ticket_of_other)[0] is None
    print("ok: attributes by every protocol that has them")
    print("ok: second application without a password")

    answer = person.get(first.get_logout_url(), allow_redirects=False)
    assert answer.status_code == 200, answer.status_code
    request = Logouts.taken.get(timeout=30)
    assert first.verify_logout_request(request, ticket), request
    assert not first.verify_logout_request(request, ticket + "x")
    print("ok: logout request names the ticket")
    answer = person.get(first.get_login_url(), allow_redirects=False)
    assert answer.status_code == 200 and 'type="password"' in answer.text, answer.status_code
    print("ok: signed out")


main()
