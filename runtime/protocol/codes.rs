//! The one table of codes: every error code of the wire and of problem+json, and every close code, with what a client
//! does on it. A test compares `docs/protocol.md` and `static/codes.js` with it.
//!
//! Knows no HTTP status: those live in `http/problem.rs`.

/// What a client does on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request fails again until something is changed.
    Never,
    /// The same request may succeed later.
    Later,
}

macro_rules! codes {
    ($($variant:ident $text:literal $retry:ident $hint:literal)*) => {
        /// A stable error code: upper snake case, the same over `/ws` and in problem+json.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($variant),* }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text),* }
            }

            pub fn retry(self) -> Retry {
                match self { $(Code::$variant => Retry::$retry),* }
            }

            /// What to do about it, in one sentence.
            pub fn hint(self) -> &'static str {
                match self { $(Code::$variant => $hint),* }
            }
        }
    };
}

codes! {
    // Frames and channels.
    BadFrame "BAD_FRAME" Never "Send one JSON object per text frame: {\"type\", \"channel\", \"payload\", \"requestId\"}."
    UnknownMessageType "UNKNOWN_MESSAGE_TYPE" Never "Use one of: auth, subscribe, unsubscribe, mutate, message, presence:join, presence:update, presence:leave, presence:heartbeat, lease:acquire, lease:renew, lease:pass, lease:release, ping."
    FrameTooLarge "FRAME_TOO_LARGE" Never "Send smaller frames; `connected` names the limit in limits.frameBytes."
    BadChannel "BAD_CHANNEL" Never "Name a channel as activity, entity:Task, entity:Task:<id>, entity:Task?status=open, presence:<resource>, room:<name> or user:<id>, percent-encoded."
    ForbiddenChannel "FORBIDDEN_CHANNEL" Never "Your rights do not open this channel, or there is no such channel; ask again when they have changed. `[rooms]` and `[presence]` in tidewire.toml have the rules for names."
    MessageTooLarge "MESSAGE_TOO_LARGE" Never "Send less data in a message, or store it as a record; `realtime.message_bytes` is the limit."
    SubscriptionLimit "SUBSCRIPTION_LIMIT" Never "Unsubscribe from channels that are no longer shown, or use one entity channel instead of many record channels."
    PresenceLimit "PRESENCE_LIMIT" Never "Leave resources that are no longer shown, or send less metadata; docs/configuration.md has the limits (realtime.presence_...)."
    NotSubscribed "NOT_SUBSCRIBED" Never "Subscribe to the channel first, with exactly this name."
    BadPosition "BAD_POSITION" Never "Send `since` as the server sent it: {epoch, seq, view} over `/ws`, <epoch>:<seq> in a poll."
    RateLimited "RATE_LIMITED" Later "Send fewer messages or requests; for messages, `connected` names the limit in limits.messagesPerSecond."
    ConnectionLimit "CONNECTION_LIMIT" Later "Close other tabs or connections of this user, or try again later."
    // Who and from where.
    Unauthenticated "UNAUTHENTICATED" Never "Log in with POST /api/auth/login and send the token as `Authorization: Bearer`; in dev, ?as=NAME needs no token."
    LoginFailed "LOGIN_FAILED" Never "Check the name and the password; an administrator makes a new link with `tidewire user passwd NAME`."
    TooManyLogins "TOO_MANY_LOGINS" Later "Wait as long as Retry-After says, then try again."
    RegistrationClosed "REGISTRATION_CLOSED" Never "Ask the administrator of this server for an invitation: `tidewire user invite`."
    BadLink "BAD_LINK" Never "Ask the administrator of this server for another link; each works once."
    SetupRequired "SETUP_REQUIRED" Later "Open the link that the server printed when it started; `tidewire user link` makes another."
    AccountDisabled "ACCOUNT_DISABLED" Never "Ask the administrator of this server to enable the account."
    Forbidden "FORBIDDEN" Never "The entity's access rules do not allow this; `tidewire rules why` prints how they are evaluated."
    RuleLimit "RULE_LIMIT" Never "Narrow the rule in the schema file, or give this user fewer records."
    QueryLimit "QUERY_LIMIT" Later "Subscribe with a filter that compares some field for equality, or close other live queries."
    ForbiddenHost "FORBIDDEN_HOST" Never "Open the server at the address that it printed when it started."
    ForbiddenOrigin "FORBIDDEN_ORIGIN" Never "Open the page from the server's own origin, at the address that it printed when it started."
    // Requests.
    UnknownEntity "UNKNOWN_ENTITY" Never "GET /api/schema lists the entities."
    NotFound "NOT_FOUND" Never "Check the address; the record may have been deleted."
    NoHistory "NO_HISTORY" Never "Add history = \"90d\" or history = \"forever\" to the entity's schema file; changes are kept from then on."
    MethodNotAllowed "METHOD_NOT_ALLOWED" Never "The `Allow` header lists the methods of this address."
    BadJson "BAD_JSON" Never "Send one JSON object of the shape that the detail asks for."
    BadQuery "BAD_QUERY" Never "Correct the parameter that the detail names; GET /api/schema lists the fields."
    BadCursor "BAD_CURSOR" Never "Use `next` of the previous page unchanged and with the same sort, or start without a cursor."
    QueryTooBroad "QUERY_TOO_BROAD" Never "Add the index that the detail names to the schema file, or narrow the query."
    BadHeader "BAD_HEADER" Never "Correct the header that the detail names, or leave it out."
    BodyTooLarge "BODY_TOO_LARGE" Never "Send a smaller body."
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" Never "Send JSON with Content-Type: application/json, plain or compressed by gzip."
    ValidationFailed "VALIDATION_FAILED" Never "Correct the fields named in `errors`."
    UnknownReference "UNKNOWN_REFERENCE" Never "Create the record that the field refers to first."
    VersionConflict "VERSION_CONFLICT" Never "Merge with the record in `current` and send its version in If-Match."
    LeaseHeld "LEASE_HELD" Later "Wait until the holder releases or passes the lease; presence shows who it is."
    LeaseLost "LEASE_LOST" Never "Acquire the lease again, read the record, and repeat the change on what it is now."
    LeaseRequired "LEASE_REQUIRED" Never "Send `lease:acquire` over a live connection, and the number that it answers in If-Lease, or as `lease` in a batch."
    LeaseLimit "LEASE_LIMIT" Never "Release a lease that is no longer needed."
    NotPresent "NOT_PRESENT" Never "Pass the lease to a user who joined the record."
    IdTaken "ID_TAKEN" Never "Use another id, or leave it out."
    NotUnique "NOT_UNIQUE" Never "Choose another value; this one is taken."
    Restricted "RESTRICTED" Never "Delete or change the records that refer to it first."
    CascadeTooLarge "CASCADE_TOO_LARGE" Never "Delete or change the referring records in smaller steps first."
    TriggerFailed "TRIGGER_FAILED" Never "The server's log says what failed. Correct the `[[on]]` table of that schema file, or the records that are in its way."
    UnitTooLarge "UNIT_TOO_LARGE" Never "Split the request."
    IdempotencyMismatch "IDEMPOTENCY_MISMATCH" Never "Use a new Idempotency-Key for a new request."
    SchemaChanged "SCHEMA_CHANGED" Later "Read /api/schema again and repeat the request."
    // The server's own trouble.
    Overloaded "OVERLOADED" Later "Wait as long as Retry-After says, then repeat the request."
    ShuttingDown "SHUTTING_DOWN" Later "Repeat the request when the server is back."
    TelemetryDisabled "TELEMETRY_DISABLED" Never "Set metrics = true in tidewire.toml to have numbers here."
    StorageFull "STORAGE_FULL" Later "The operator must free disk space."
    ReadOnly "READ_ONLY" Later "The operator must make the data folder writable."
    StorageDamaged "STORAGE_DAMAGED" Later "The operator must repair the database; `tidewire doctor` shows what is damaged and what to do."
    StorageError "STORAGE_ERROR" Later "The write was not acknowledged; the server's log says why."
    Internal "INTERNAL" Later "The server's log names this request by its id."
}

macro_rules! close_codes {
    ($($variant:ident $number:literal $reason:literal)*) => {
        /// Why the server closes a socket. 1001, 1011, 1012 and 4000-4099: reconnect after back-off.
        /// 1002, 1007, 1009 and 4400-4499: do not reconnect by yourself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CloseCode { $($variant),* }

        impl CloseCode {
            pub const ALL: &[CloseCode] = &[$(CloseCode::$variant),*];

            pub fn number(self) -> u16 {
                match self { $(CloseCode::$variant => $number),* }
            }

            pub fn reason(self) -> &'static str {
                match self { $(CloseCode::$variant => $reason),* }
            }
        }
    };
}

close_codes! {
    Normal 1000 "closed at the client's request"
    ProtocolError 1002 "not a WebSocket frame"
    NotUtf8 1007 "text that is not UTF-8"
    FrameTooLarge 1009 "frame over the limit"
    Internal 1011 "internal error"
    Restart 1012 "server restarts"
    NoPong 4008 "no answer to pings"
    TooSlow 4013 "too slow"
    TooManyConnections 4020 "too many connections"
    TooManyMessages 4029 "too many messages"
    ProtocolAbuse 4400 "protocol abuse"
    Unauthenticated 4401 "token missing or bad"
    Refused 4403 "connection refused"
    TooManyMessagesAgain 4429 "too many messages, repeatedly"
}

/// Codes of an `error` that ends a subscription which its client has been shown. docs/protocol.md says what a client does then.
pub const ENDS_SUBSCRIPTION: [Code; 6] = [
    Code::ForbiddenChannel,
    Code::RuleLimit,
    Code::QueryLimit,
    Code::QueryTooBroad,
    Code::UnknownEntity,
    Code::BadChannel,
];
