//! "Did you mean": the known name nearest to a misspelt one.

/// The closest of `known`, when it is close enough to be a slip of the pen.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance costs the product of both lengths, and the name is a stranger's.
    if name.len() > 64 {
        return None;
    }
    let slips = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
