//! What was refused lately, and why, so that an administrator can ask about the id that a user saw.
//!
//! The data flow:
//!
//! 1. A unit that is refused explains its rule in its own transaction (`store/unit/permission.rs`), and leaves `Evidence`.
//! 2. The repository passes it on with `note_evidence`, to the request or the mutation that is being answered (`observe`).
//! 3. The edge of HTTP and the loop of a connection know the id, the caller and the answer, and keep a `KeptRefusal`. Presence, which
//!    answers for itself, has a `RefusedPeer` of each connection.
//! 4. A list that was answered keeps its question in the same way, under the id of its request.
//! 5. `GET /api/admin/why/{id}` looks for the id. Nothing else reads what is kept, and it ends with the process.
//!
//! Knows no HTTP and no connection. It keeps no body, and of records only the values that deciding clauses read.

mod fair;
mod memory;
mod noted;
mod peer;

pub use memory::{
    KeptClaims, KeptRefusal, ListQuestion, REFUSAL_LIFE, Refusals, RefusedCaller, RefusedOperation,
};
pub use noted::{
    Noted, NotedList, NotedRefusal, Observed, RefusedPart, note_caller, note_evidence, note_list,
    note_refusal, observe,
};
pub use peer::{RefusedFrame, RefusedPeer};
