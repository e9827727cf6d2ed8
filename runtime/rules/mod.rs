//! Who may see and do what. A rule of the schema is evaluated on one record, or bound to one person: what remains is a
//! `Predicate` on the record alone, the form that lists, snapshots, replays and live events share. A filter of a client is one too.
//!
//! Knows no database, no wire and no HTTP: the caller brings the facts about a person.

mod anchor;
mod bind;
mod compare;
mod condition;
mod deciding;
mod evaluate;
mod explain;
mod further;
mod judge;
mod name;
mod own_rights;
mod person;
mod predicate;
mod printer;
mod read_scope;
mod truth;
mod uses;
mod value_class;

pub use anchor::{Anchor, Equality, Key, Keys, Sought, anchor};
pub use bind::{BindError, MOST_STEPS_OF_UNIT, MOST_TESTS, bind};
pub use compare::{member, size};
pub use condition::{Condition, Test};
pub use deciding::{Clause, deciding, unmet};
pub use evaluate::{Proposal, Subject, evaluate};
pub use explain::{Explanation, explain};
pub use further::{KnownFacts, MOST_STEPS, MissingFact};
pub use judge::{Found, JudgedStep, find_truth, judge};
pub use name::may_use_name;
pub use own_rights::self_given;
pub use person::{Asker, Claims, MOST_RELATED, Person, Principal, RelatedRecords};
pub use predicate::{Operand, Predicate};
pub use read_scope::{Mask, ReadScope, ReadScopeText, Sides, Verdict, is_closed, may_ever};
pub use truth::Truth;
pub use uses::{Needs, Rights, RightsEntity, claims_asked, depends_on_person};
pub use value_class::ValueClass;
