//! Operations of `/api/auth/…` and their bodies.

use axum::http::StatusCode;
use serde_json::{Value as Json, json};

use super::answers::{self, ResponseObject};
use super::describer::Describer;
use super::operations::{ANY, ASKED, CALLED, DescribedRoute, OperationPlan};
use crate::protocol::Code;
use crate::schema::record_schema::ObjectSchema;

/// Codes of whatever reads or changes accounts.
const KEPT: &[Code] = &[
    Code::BadQuery,
    Code::ForbiddenOrigin,
    Code::ValidationFailed,
    Code::TooManyLogins,
    Code::Overloaded,
    Code::AccountDisabled,
    Code::StorageError,
    Code::StorageDamaged,
    Code::ShuttingDown,
];
/// Codes of what makes a `User` record.
const RECORDED: &[Code] =
    &[Code::ReadOnly, Code::StorageFull, Code::SchemaChanged, Code::TriggerFailed, Code::UnitTooLarge];

/// A route of this file.
struct AuthRoute {
    verb: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    body: Option<Json>,
    parameters: Vec<Json>,
    answer: ResponseObject,
}

impl Describer<'_> {
    pub(super) fn auth(&mut self) -> Vec<DescribedRoute> {
        let login: &[&[Code]] = &[ANY, ASKED, KEPT, RECORDED, &[Code::LoginFailed]];
        let register: &[&[Code]] =
            &[ANY, ASKED, KEPT, RECORDED, &[Code::RegistrationClosed, Code::BadLink, Code::NotUnique]];
        let password: &[&[Code]] =
            &[ANY, ASKED, KEPT, RECORDED, &[Code::Unauthenticated, Code::LoginFailed, Code::BadLink]];
        let renamed: &[&[Code]] = &[ANY, CALLED, ASKED, KEPT, &[Code::NotUnique]];
        let reset: &[&[Code]] = &[ANY, ASKED, KEPT, &[Code::NotFound]];
        let own: &[&[Code]] = &[ANY, CALLED, &[Code::StorageError]];
        let one: &[&[Code]] = &[ANY, CALLED, &[Code::StorageError, Code::NotFound]];
        let granted = |status| answers::plainly(status, self.shared_ref("Granted"));
        let none = answers::nothing;
        let as_name = || self.caller_parameters().to_vec();
        let id = json!({"name": "id", "in": "path", "required": true, "description": "The session's id.", "schema": {"type": "string"}});
        let post = |path, id, summary, body, answer| AuthRoute {
            verb: "post",
            path,
            id,
            summary,
            body,
            parameters: Vec::new(),
            answer,
        };
        let body = |name: &str| Some(self.json_body(self.shared_ref(name)));
        let routes = [
            (post("/api/auth/login", "logIn", "Log in.", body("Login"), granted(StatusCode::OK)), login),
            (
                post(
                    "/api/auth/register",
                    "register",
                    "Make an account and log in.",
                    body("Registration"),
                    granted(StatusCode::CREATED),
                ),
                register,
            ),
            (
                post(
                    "/api/auth/password",
                    "setPassword",
                    "Set the password: the caller's own, or by a link. All other sessions end.",
                    body("Password"),
                    granted(StatusCode::OK),
                ),
                password,
            ),
            (
                post(
                    "/api/auth/name",
                    "setLoginName",
                    "Log in by another name from now on. The id, the password and the sessions stay.",
                    body("LoginName"),
                    none(),
                ),
                renamed,
            ),
            (
                post(
                    "/api/auth/reset",
                    "askForReset",
                    "Ask for a mail with a link that sets the password. The answer is the same for every name.",
                    body("Reset"),
                    answers::plainly(StatusCode::ACCEPTED, self.shared_ref("Asked")),
                ),
                reset,
            ),
            (post("/api/auth/logout", "logOut", "End this session.", None, none()), one),
            (
                post(
                    "/api/auth/refresh",
                    "refresh",
                    "Go on under another token.",
                    None,
                    granted(StatusCode::OK),
                ),
                own,
            ),
            (
                post(
                    "/api/auth/ticket",
                    "ticket",
                    "A ticket that opens one socket, instead of a token in its address.",
                    None,
                    answers::ok(self.shared_ref("Ticket"), &[]),
                ),
                own,
            ),
            (
                AuthRoute {
                    verb: "get",
                    path: "/api/auth/me",
                    id: "me",
                    summary: "Who the caller is.",
                    body: None,
                    parameters: as_name(),
                    answer: answers::ok(self.shared_ref("Me"), &[]),
                },
                own,
            ),
            (
                AuthRoute {
                    verb: "get",
                    path: "/api/auth/sessions",
                    id: "sessions",
                    summary: "The caller's sessions, newest first.",
                    body: None,
                    parameters: Vec::new(),
                    answer: answers::ok(self.shared_ref("Sessions"), &[]),
                },
                own,
            ),
            (
                AuthRoute {
                    verb: "delete",
                    path: "/api/auth/sessions",
                    id: "endOtherSessions",
                    summary: "End all sessions of the caller but this one.",
                    body: None,
                    parameters: Vec::new(),
                    answer: answers::ok(self.shared_ref("Ended"), &[]),
                },
                own,
            ),
            (
                AuthRoute {
                    verb: "delete",
                    path: "/api/auth/sessions/{id}",
                    id: "endSession",
                    summary: "End one session of the caller.",
                    body: None,
                    parameters: vec![id],
                    answer: none(),
                },
                one,
            ),
        ];
        let mut listed = Vec::new();
        for (route, codes) in routes.into_iter().chain(self.issuers()) {
            let AuthRoute { verb, path, id, summary, body, parameters, answer } = route;
            let plan = OperationPlan {
                id: id.to_owned(),
                summary: summary.to_owned(),
                tag: self.shared_name("Users"),
                parameters,
                body,
                answers: vec![answer],
                codes,
            };
            listed.push((verb, path.to_owned(), self.plan(plan)));
        }
        listed
    }

    /// Logging in at another issuer.
    fn issuers(&self) -> [(AuthRoute, &'static [&'static [Code]]); 3] {
        const LISTED: &[&[Code]] = &[ANY];
        const BEGUN: &[&[Code]] = &[
            ANY,
            &[Code::BadQuery, Code::NotFound, Code::Overloaded, Code::RateLimited, Code::ForbiddenHost],
        ];
        const FINISHED: &[&[Code]] = &[
            ANY,
            KEPT,
            RECORDED,
            &[Code::Unauthenticated, Code::LoginFailed, Code::NotFound, Code::RateLimited],
        ];
        let text = |name: &str, place: &str, about: &str| json!({"name": name, "in": place, "required": place == "path", "description": about, "schema": {"type": "string"}});
        let name = || text("name", "path", "The issuer, as GET /api/auth/issuers names it.");
        let get = |path, id, summary, parameters, answer| AuthRoute {
            verb: "get",
            path,
            id,
            summary,
            body: None,
            parameters,
            answer,
        };
        let back = text("return", "query", "The path of this server to come back to; `/` without it.");
        let returned = vec![
            name(),
            text("state", "query", "As the login began."),
            text("code", "query", "Of the issuer."),
            text("iss", "query", "The issuer, if it names itself."),
            text("error", "query", "Why the issuer refused."),
        ];
        [
            (
                get(
                    "/api/auth/issuers",
                    "issuers",
                    "The issuers at which users can log in.",
                    Vec::new(),
                    answers::ok(self.shared_ref("Issuers"), &[]),
                ),
                LISTED,
            ),
            (
                get(
                    "/api/auth/issuers/{name}/login",
                    "beginLogin",
                    "Log in at an issuer: an address for a browser to open.",
                    vec![name(), back],
                    answers::onward("The browser goes to the issuer."),
                ),
                BEGUN,
            ),
            (
                get(
                    "/api/auth/issuers/{name}/callback",
                    "finishLogin",
                    "To where the issuer sends the browser back.",
                    returned,
                    answers::onward("The browser has the cookie of a session, and goes where it came from."),
                ),
                FINISHED,
            ),
        ]
    }

    pub(super) fn auth_bodies(&mut self) {
        let text = |about: &str| json!({"description": about, "type": "string"});
        // Without control characters, and without spaces around it.
        let edge = r"[^\s\x00-\x1f\x7f-\x9f]";
        let pattern = format!(r"^{edge}([^\x00-\x1f\x7f-\x9f]*{edge})?$");
        let login_name = |about: &str| json!({"description": about, "type": "string", "minLength": 1, "maxLength": 128, "pattern": pattern});
        let time = || json!({"type": "string", "format": "date-time"});
        let perhaps = |kind: &str| json!({"type": [kind, "null"]});
        let cookie = || json!({"description": "Put the token into a cookie of this origin, not into the answer.", "type": "boolean"});
        let user = ObjectSchema::new("A user.")
            .with("id", text("Id of the `User` record."))
            .with("name", perhaps("string"))
            .with("role", perhaps("string"));
        let session = ObjectSchema::new("A session.")
            .with("id", text("For DELETE."))
            .with("createdAt", time())
            .with("seenAt", time())
            .with("expiresAt", time())
            .with("device", text("What the client called itself."))
            .with("current", json!({"type": "boolean"}));
        let issuer = ObjectSchema::new("An issuer at which users log in.")
            .with("name", text("Of the settings."))
            .with("title", text("For a button."))
            .with("login", text("The address for the browser to open, with `?return=` a path."));
        let schemas = [
            (
                "Login",
                ObjectSchema::new("A name and its password.")
                    .with("name", text("Login name."))
                    .with("password", text("The password."))
                    .with_optional("cookie", cookie()),
            ),
            (
                "Registration",
                ObjectSchema::new("A new account.")
                    .with("name", login_name("Login name, 1 to 128 characters."))
                    .with("password", text("The password."))
                    .with_optional("link", text("The secret of an invitation."))
                    .with_optional("cookie", cookie()),
            ),
            (
                "Password",
                ObjectSchema::new("A new password, with the old one or a link.")
                    .with("password", text("The new password."))
                    .with_optional("oldPassword", text("The caller's password until now."))
                    .with_optional("link", text("The secret of a link."))
                    .with_optional("cookie", cookie()),
            ),
            (
                "LoginName",
                ObjectSchema::new("Another login name.")
                    .with("name", login_name("The new login name."))
                    .with("password", text("The caller's password.")),
            ),
            ("NewLoginName", ObjectSchema::new("Another login name.").with("name", login_name("The new login name."))),
            ("Reset", ObjectSchema::new("Whose password is lost.").with("name", text("Login name."))),
            ("Asked", ObjectSchema::new("Nothing.")),
            (
                "Granted",
                ObjectSchema::new("A session.")
                    .with_optional("token", text("Send it as `Authorization: Bearer TOKEN`."))
                    .with("expiresAt", time())
                    .with("user", json!(user)),
            ),
            (
                "Me",
                ObjectSchema::new("The caller.")
                    .with("user", json!({"anyOf": [user, {"type": "null"}]}))
                    .with("guest", perhaps("string"))
                    .with("expiresAt", json!({"type": ["string", "null"], "format": "date-time"}))
                    .with("session", perhaps("string"))
                    .with("names", json!({"description": "Whether the server believes `?as=NAME`, as `tidewire dev` does.", "type": "boolean"})),
            ),
            (
                "Sessions",
                ObjectSchema::new("Sessions.").with("items", json!({"type": "array", "items": session})),
            ),
            ("Ended", ObjectSchema::new("How many.").with("ended", json!({"type": "integer", "minimum": 0}))),
            (
                "Issuers",
                ObjectSchema::new("Issuers.").with("items", json!({"type": "array", "items": issuer})),
            ),
            (
                "Ticket",
                ObjectSchema::new("For `/ws?ticket=`.")
                    .with("ticket", text("Works once."))
                    .with("expiresIn", json!({"description": "Seconds.", "type": "integer"})),
            ),
        ];
        for (name, schema) in schemas {
            self.add_schema(self.shared_name(name), schema);
        }
    }
}
