//! The browser modules as they are sent: the code, without the comments, indentation and empty lines that the source has for
//! its readers. Knows the comments of this repository, `/** … */` anywhere and `//` on a line of its own, and no JavaScript: a
//! test compares what is sent with the source, module by module.

pub(super) fn without_comments(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, comment)) = rest.split_once("/**") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    let lines = code.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}
