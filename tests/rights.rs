//! Rights on live data: no user ever sees what they may not see at that position, and every user ends with what they may see
//! (promises G4, G6, G10).

mod matrix;
mod oracle;
mod recipes;
