//! What `why` answers, in prepared cases. What decides in each case, and the values that it read, are written down here by hand, from
//! the rules in `team.rs` and the records in it: no code of the product says what is expected.

mod command;
mod events;
mod inspect;
mod lists;
mod refusals;
mod team;
