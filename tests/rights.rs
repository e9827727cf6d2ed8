//! Rights on live data: nobody ever sees what he may not see at that position, and everybody ends with what he may see
//! (promises G4, G6, G10).

mod matrix;
mod oracle;
mod recipes;
