//! The modules of a page, or the client, as one file, so that a page needs one request and no waterfall of imports.
//!
//! Each module becomes the value of a constant: a function that is called once and returns what the module exports. Imports
//! take their names out of these constants. This holds for the forms of `import` and `export` that this repository uses, and
//! for imports without circles; anything else is an error, and a test packs every page. Knows no other JavaScript.

use std::collections::HashSet;

/// Why modules cannot be one file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PackError {
    /// No such file.
    Missing(String),
    /// A line that this packer cannot translate, with its module.
    Form { module: String, line: String },
    /// A module that imports itself, over others.
    Circle(String),
}

/// The page's module `entry` with all that it imports, at once or later. `read` gives a module by its path below `static/`.
pub(super) fn pack(entry: &str, read: impl Fn(&str) -> Option<String>) -> Result<String, PackError> {
    let mut packer = Packer {
        read,
        packed: String::new(),
        later: Vec::new(),
        begun: HashSet::new(),
        done: HashSet::new(),
    };
    let module = packer.module(entry)?;
    // What is imported later may import anything but the page itself.
    packer.begun.insert(entry.to_owned());
    while let Some(path) = packer.later.pop() {
        packer.add(&path)?;
    }
    // It may wait (`await`), which a function may not.
    let exports = match module.exports.join(", ") {
        none if none.is_empty() => none,
        names => format!("export {{ {names} }};\n"),
    };
    Ok(tight(&(packer.packed + &module.code + &exports)))
}

struct Packer<R> {
    read: R,
    packed: String,
    /// Paths behind `import('…')`. They run when the page starts and are handed out when they are asked for.
    later: Vec<String>,
    begun: HashSet<String>,
    done: HashSet<String>,
}

/// One module in the words of the packed file.
struct Module {
    code: String,
    exports: Vec<String>,
}

impl<R: Fn(&str) -> Option<String>> Packer<R> {
    fn add(&mut self, path: &str) -> Result<(), PackError> {
        if self.done.contains(path) {
            return Ok(());
        }
        if !self.begun.insert(path.to_owned()) {
            return Err(PackError::Circle(path.to_owned()));
        }
        let Module { code, exports } = self.module(path)?;
        let (name, exports) = (constant(path), exports.join(", "));
        self.packed += &format!("const {name} = (() => {{\n{code}return {{ {exports} }};\n}})();\n");
        self.done.insert(path.to_owned());
        Ok(())
    }

    /// Translates a module, after those that it imports.
    fn module(&mut self, path: &str) -> Result<Module, PackError> {
        let source = (self.read)(path).ok_or_else(|| PackError::Missing(path.to_owned()))?;
        let (mut code, mut exports) = (String::with_capacity(source.len()), Vec::new());
        for line in source.lines() {
            let form = || PackError::Form { module: path.to_owned(), line: line.to_owned() };
            if let Some(import) = line.strip_prefix("import ") {
                let (names, from) = imported(import).ok_or_else(form)?;
                let from = resolved(path, from);
                self.add(&from)?;
                code += &format!("const {names} = {};\n", constant(&from));
            } else if let Some(names) =
                line.strip_prefix("export { ").and_then(|list| list.strip_suffix(" };"))
            {
                let names = names.split(", ").map(|name| is_name(name).then(|| name.to_owned()));
                exports.extend(names.collect::<Option<Vec<_>>>().ok_or_else(form)?);
            } else if let Some(declaration) = line.strip_prefix("export ") {
                exports.push(declared(declaration).ok_or_else(form)?.to_owned());
                self.take_later(path, declaration, &mut code)?;
            } else {
                self.take_later(path, line, &mut code)?;
            }
        }
        Ok(Module { code, exports })
    }

    /// Adds a line of code, in which each `import('…')` becomes a promise of the constant.
    fn take_later(&mut self, path: &str, line: &str, code: &mut String) -> Result<(), PackError> {
        let mut rest = line;
        while let Some((before, import)) = rest.split_once("import('") {
            let (from, after) = import
                .split_once("')")
                .ok_or_else(|| PackError::Form { module: path.to_owned(), line: line.to_owned() })?;
            let from = resolved(path, from);
            *code += &format!("{before}Promise.resolve({})", constant(&from));
            self.later.push(from);
            rest = after;
        }
        *code += rest;
        code.push('\n');
        Ok(())
    }
}

/// What `{ a, b as c } from './x.js';` or `* as x from './x.js';` takes, as the left side of a `const`, and from where.
fn imported(import: &str) -> Option<(String, &str)> {
    let (names, from) = import.strip_suffix("';")?.split_once(" from '")?;
    let names = match names.strip_prefix("* as ") {
        Some(name) => name.to_owned(),
        None if names.starts_with('{') && names.ends_with('}') => names.replace(" as ", ": "),
        None => return None,
    };
    Some((names, from))
}

/// The name that an exported function, class or constant has.
fn declared(declaration: &str) -> Option<&str> {
    let declaration = declaration.strip_prefix("async ").unwrap_or(declaration);
    let (kind, rest) = declaration.split_once(' ')?;
    let end = rest.find(|c: char| !is_part_of_a_name(c)).unwrap_or(rest.len());
    (matches!(kind, "function" | "function*" | "class" | "const") && end > 0).then(|| &rest[..end])
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_part_of_a_name)
}

const fn is_part_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The same code without the spaces and line breaks that only people need. A line with a template or a slash stays as it is: in
/// a template or a regular expression a space counts, and so does one in a text. A test compares the programs.
fn tight(code: &str) -> String {
    let mut tight = String::with_capacity(code.len());
    let mut in_template = false;
    for line in code.lines() {
        let was_in_template = in_template;
        in_template ^= line.matches('`').count() % 2 == 1;
        if was_in_template || in_template {
            tight.push_str(line);
            tight.push('\n');
            continue;
        }
        if line.contains(['`', '/']) {
            tight.push_str(line)
        } else {
            push_tight(line, &mut tight)
        }
        // A line break behind these says nothing.
        if !line.ends_with([';', ',', '{']) {
            tight.push('\n');
        }
    }
    tight
}

fn push_tight(line: &str, tight: &mut String) {
    let mut quote = None;
    let mut before = '\n';
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            // What is escaped ends no text.
            Some(_) if c == '\\' => {
                tight.push(c);
                before = chars.next().unwrap_or(c);
                tight.push(before);
                continue;
            }
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == ' ' => {
                let after = chars.peek().copied().unwrap_or('\n');
                let is_one_word = is_word(before) && is_word(after);
                // `a + +b` is another sum than `a ++b`.
                let is_one_sign = before == after && matches!(before, '+' | '-');
                if is_one_word || is_one_sign {
                    tight.push(c);
                    before = c;
                }
                continue;
            }
            _ => {}
        }
        tight.push(c);
        before = c;
    }
}

/// Whether two such characters would become one word.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#')
}

/// The path below `static/` of what a module imports.
fn resolved(module: &str, from: &str) -> String {
    if let Some(path) = from.strip_prefix("/static/") {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = module.split('/').collect();
    parts.pop();
    for part in from.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// `$pages_dom` for `pages/dom.js`. No module of this repository begins a name with `$`.
fn constant(path: &str) -> String {
    format!("${}", path.trim_end_matches(".js").replace('/', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(modules: &[(&str, &str)]) -> Result<String, PackError> {
        pack("pages/page.js", |path| {
            modules.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn a_module_comes_once_and_before_those_that_import_it() {
        let modules = [
            (
                "pages/page.js",
                "import { a as b } from '/static/a.js';\nimport { c } from './c.js';\nawait b(c);\n",
            ),
            ("a.js", "import * as d from './d.js';\nexport async function a() {}\nexport const e = d.d;\n"),
            ("pages/c.js", "import { d } from '../d.js';\nexport class c {}\n"),
            ("d.js", "export const d = 1;\n"),
        ];
        let expected = "const $d=(()=>{const d=1;return{d};})();const $a=(()=>{const d=$d;async function a(){}\nconst e=d.d;\
            return{a,e};})();const $pages_c=(()=>{const{d}=$d;class c{}\nreturn{c};})();\
            const{a:b}=$a;const{c}=$pages_c;await b(c);";
        assert_eq!(packed(&modules).unwrap(), expected);
    }

    #[test]
    fn a_module_for_later_is_there_before_the_page_and_may_import_those_that_load_it() {
        let modules = [
            ("pages/page.js", "import { a } from './a.js';\n"),
            ("pages/a.js", "export const a = () => import('./late.js');\n"),
            ("pages/late.js", "import { a } from './a.js';\nexport const b = a;\n"),
        ];
        let expected = "const $pages_a=(()=>{const a=()=>Promise.resolve($pages_late);return{a};})();\
            const $pages_late=(()=>{const{a}=$pages_a;const b=a;return{b};})();const{a}=$pages_a;";
        assert_eq!(packed(&modules).unwrap(), expected);
    }

    #[test]
    fn lines_of_a_text_stay_lines() {
        let modules = [("pages/page.js", "const a = `one;\ntwo  ,\n`;\nconst b = 1;\nb;\n")];
        assert_eq!(packed(&modules).unwrap(), "const a = `one;\ntwo  ,\n`;\nconst b=1;b;");
    }

    #[test]
    fn only_spaces_that_say_nothing_go() {
        for (line, tight) in [
            ("return a + +b - -c;", "return a+ +b- -c;"),
            ("if (x in y) throw new Error('a  b \\' = c');", "if(x in y)throw new Error('a  b \\' = c');"),
            ("const f = (a, \"b = c\") => { x: 1 };", "const f=(a,\"b = c\")=>{x:1};"),
            ("this.#a = $b of c;", "this.#a=$b of c;"),
            ("a = b / c;", "a = b / c;"),
            ("a = `b = ${c}`;", "a = `b = ${c}`;"),
            ("x = é in ü;", "x=é in ü;"),
        ] {
            let modules = [("pages/page.js", line)];
            assert_eq!(packed(&modules).unwrap(), tight);
        }
    }

    #[test]
    fn what_is_exported_by_a_list_is_exported_and_so_is_what_the_entry_exports() {
        let modules = [
            ("pages/page.js", "import { a, b } from './a.js';\nexport { a, b };\nexport function c() {}\n"),
            ("pages/a.js", "const a = 1;\nexport { a };\nexport const b = 2;\n"),
        ];
        let expected = "const $pages_a=(()=>{const a=1;const b=2;return{a,b};})();\
            const{a,b}=$pages_a;function c(){}\nexport{a,b,c};";
        assert_eq!(packed(&modules).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_translated_is_an_error_with_its_module() {
        let form = |line: &str| PackError::Form { module: "pages/page.js".to_owned(), line: line.to_owned() };
        for line in [
            "import './a.js';",
            "import a from './a.js';",
            "import {",
            "export { a as b };",
            "export { a } from './a.js';",
            "export * from './a.js';",
            "export {  };",
            "export default 1;",
            "import('./a.js",
        ] {
            assert_eq!(packed(&[("pages/page.js", line)]), Err(form(line)), "{line}");
        }
        let lonely = [("pages/page.js", "import { a } from './a.js';\n")];
        assert_eq!(packed(&lonely), Err(PackError::Missing("pages/a.js".to_owned())));
        let circle = [
            lonely[0],
            ("pages/a.js", "import { b } from './b.js';"),
            ("pages/b.js", "import { a } from './a.js';"),
        ];
        assert_eq!(packed(&circle), Err(PackError::Circle("pages/a.js".to_owned())));
    }
}
