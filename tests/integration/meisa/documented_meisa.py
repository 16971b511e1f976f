"""A loopback Meisa that does what its documents say of each endpoint, and little else."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

KEY = "meisa_test_0123456789"
NOW = "2026-01-12T08:30:00Z"
#: Of the documents: method and path -> scope.
SCOPES = {
    ("GET", "/ping/"): "",
    ("POST", "/contacts/upsert/"): "contacts:write",
    ("POST", "/events/track/"): "events:track",
    ("POST", "/contacts/{id}/add_tag/"): "contacts:write",
    ("POST", "/contacts/{id}/remove_tag/"): "contacts:write",
    ("GET", "/contacts/api/unsubscribed-emails/"): "contacts:read",
    ("POST", "/emails/trigger/"): "emails:trigger",
    ("POST", "/sequences/enroll/"): "sequences:enroll",
    ("POST", "/sequences/api/bulk-enroll/"): "sequences:enroll",
    ("GET", "/sequences/api/list/"): "sequences:read",
    ("GET", "/sequences/api/contact-enrollments/"): "sequences:read",
}

Json = dict[str, Any]
Reply = tuple[int, Any]


@dataclass
class DocumentedMeisa:
    """Answers on a free port; contacts live as long as it does."""

    scopes: set[str] = field(default_factory=lambda: set(SCOPES.values()))
    unsubscribed: list[str] = field(default_factory=list)
    #: Statuses of the next answers, after the request was carried out.
    failing: list[int] = field(default_factory=list)
    #: Each request: method, path, body or query.
    asked: list[tuple[str, str, Json]] = field(default_factory=list)
    contacts: dict[str, Json] = field(default_factory=dict)
    #: What was e-mailed: trigger key, address, variables.
    mails: list[tuple[str, str, Json]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    enrolled: dict[str, list[str]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        meisa = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                meisa.serve(self)

            def do_POST(self) -> None:
                meisa.serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # It looks this often whether it has to stop.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}/api/v1"

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Read one request, carry it out and answer."""
        raw = request.rfile.read(int(request.headers.get("content-length") or 0))
        status, said = self._reply(request, raw)
        if self.failing:
            status, said = self.failing.pop(0), {"message": "as the test wants it"}
        body = json.dumps(said).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _reply(self, request: BaseHTTPRequestHandler, raw: bytes) -> Reply:
        url = urlsplit(request.path)
        path = url.path.removeprefix("/api/v1")
        place = re.sub(r"^/contacts/[^/]+/(?=add_tag|remove_tag)", "/contacts/{id}/", path)
        given = json.loads(raw) if raw else {k: v[0] for k, v in parse_qs(url.query).items()}
        self.asked.append((request.command, path, given))
        scope = SCOPES.get((request.command, place))
        if scope is None:
            return 404, {"message": "There is no such place."}
        if request.headers.get("x-api-key") != KEY:
            return 401, {"message": "The key is unknown."}
        if scope and scope not in self.scopes:
            return 403, {"message": "The key may not do this."}
        name = place.strip("/").replace("/", "_").replace("-", "_").replace("{id}_", "")
        carry_out: Callable[[Json, str], Reply] = getattr(self, f"_{name}")
        return carry_out(given, path)

    def _ping(self, *_: object) -> Reply:
        key = {
            "name": "tests",
            "environment": "test",
            "scopes": sorted(self.scopes - {""}),
            "rate_limit_per_minute": 60,
        }
        return 200, {"status": "ok", "api_key": key, "product": {"id": "p-1", "name": "Shop"}}

    def _find(self, given: Json) -> Json | None:
        by_id = [c for c in self.contacts.values() if c["external_id"] == given.get("external_id")]
        by_email = [c for c in self.contacts.values() if c["email"] == given.get("email")]
        found = (by_id if given.get("external_id") else []) or by_email
        return found[0] if found else None

    def _contacts_upsert(self, given: Json, _: str) -> Reply:
        contact = self._find(given)
        if contact is None:
            contact = {
                "id": f"c-{len(self.contacts) + 1}",
                "external_id": "",
                "source": "api",
                "status": "active",
                "custom_fields": {},
                "tags": [],
                "total_emails_sent": 0,
                "created_at": NOW,
            }
            self.contacts[contact["id"]] = contact
        for name in given.get("tag_names", []):
            contact["tags"].append({"id": f"t-{name}", "name": name, "slug": name, "color": ""})
        contact["custom_fields"] |= given.get("custom_fields", {})
        contact |= {
            name: value
            for name, value in given.items()
            if name not in {"tag_names", "custom_fields"}
        }
        return 200, contact | {"updated_at": NOW}

    def _contacts_add_tag(self, given: Json, path: str) -> Reply:
        contact = self.contacts.get(path.split("/")[2])
        if contact is None:
            return 404, {"message": "There is no such contact."}
        name = given["tag_name"]
        contact["tags"].append({"id": f"t-{name}", "name": name, "slug": name, "color": ""})
        return 200, {"status": "added"}

    def _contacts_remove_tag(self, given: Json, path: str) -> Reply:
        contact = self.contacts.get(path.split("/")[2])
        if contact is None:
            return 404, {"message": "There is no such contact."}
        contact["tags"] = [
            tag
            for tag in contact["tags"]
            if given not in ({"tag_name": tag["name"]}, {"tag_id": tag["id"]})
        ]
        return 200, {"status": "removed"}

    def _events_track(self, given: Json, _: str) -> Reply:
        contact = self._find(given)
        if contact is None:
            return 404, {"message": "There is no such contact."}
        told = {"status": "tracked", "contact_id": contact["id"], "timestamp": NOW}
        return 200, told | {"event_name": given["event_name"]}

    def _contacts_api_unsubscribed_emails(self, *_: object) -> Reply:
        listed = self.unsubscribed
        return 200, {"as_of": NOW, "count": len(listed), "emails": listed}

    def _emails_trigger(self, given: Json, _: str) -> Reply:
        key, email = given["trigger_key"], given["to_email"]
        if key not in {"verification_code", "delayed", "conditional"}:
            return 400, {"message": "There is no such trigger."}
        if email in self.unsubscribed:
            return 422, {"message": "The recipient has unsubscribed."}
        if key == "delayed":
            return 202, {"status": "scheduled"}
        if key == "conditional":
            return 200, {"status": "skipped", "reason": "conditions_not_met"}
        once = given.get("idempotency_key")
        if once is None or once not in self.keys:
            self.mails.append((key, email, given.get("variables", {})))
            self.keys.add(once or "")
        told = {"status": "sent", "email_send_id": f"m-{len(self.mails)}", "timestamp": NOW}
        return 200, told | {"contact_id": "c-1", "contact_created": False, "trigger_key": key}

    def _sequences_enroll(self, given: Json, _: str) -> Reply:
        slug, email = given["sequence_slug"], given["email"]
        if slug in self.enrolled.get(email, []):
            return 400, {"message": "The contact is in this sequence already."}
        self.enrolled.setdefault(email, []).append(slug)
        told = {"id": "e-1", "contact_email": email, "sequence_slug": slug, "status": "active"}
        return 201, told | {"enrolled_at": NOW, "next_step_at": NOW}

    def _sequences_api_bulk_enroll(self, given: Json, _: str) -> Reply:
        slug = given["sequence_slug"]
        new = [email for email in given["emails"] if slug not in self.enrolled.get(email, [])]
        for email in new:
            self.enrolled.setdefault(email, []).append(slug)
        return 200, {"enrolled": len(new)}

    def _sequences_api_list(self, given: Json, _: str) -> Reply:
        kept = {"welcome": "active", "old": "archived"}
        wanted = given.get("status", "active")
        return 200, {
            "results": [
                {"id": f"s-{slug}", "slug": slug, "name": slug, "status": status}
                | {"total_enrolled": sum(slug in each for each in self.enrolled.values())}
                for slug, status in kept.items()
                if wanted in {"all", status} and given.get("search", "") in slug
            ]
        }

    def _sequences_api_contact_enrollments(self, given: Json, _: str) -> Reply:
        slugs = self.enrolled.get(given["email"], [])
        enrollments = [
            {"sequence_slug": slug, "status": "active", "enrolled_at": NOW, "emails_sent": 0}
            for slug in slugs
        ]
        told = {"email": given["email"], "contact_exists": bool(slugs)}
        return 200, told | {"enrollments": enrollments}
