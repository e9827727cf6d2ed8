//! The files of `runtime/` as a tree of modules, and which of them imports which.
//! Knows no floors; says who uses whom, and where that is a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::{FileNames, NamedPath, names_of};

/// A module's path from the root of the house: `["store", "log"]`.
type ModulePath = Vec<String>;

/// The file of a folder itself, beside its parts: `mod.rs`, or `x.rs` beside `x/`.
const OWN: &str = "(its own file)";

/// One file that imports from another one.
#[derive(Debug, Clone)]
pub(super) struct Import {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) from: ModulePath,
    pub(super) to: ModulePath,
    /// As it is written.
    pub(super) path: String,
}

struct Module {
    file: String,
    names: FileNames,
}

/// All files by module.
pub(super) struct House {
    modules: BTreeMap<ModulePath, Module>,
}

impl House {
    /// `files`: names below the root, and texts. `main.rs` is a house of its own and left out.
    pub(super) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> House {
        let modules = files
            .into_iter()
            .filter(|(file, _)| *file != "main.rs")
            .map(|(file, text)| (module_path(file), Module { file: file.to_owned(), names: names_of(text) }));
        House { modules: modules.collect() }
    }

    /// Every import of one file from another one, where the name is really defined.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut found = Vec::new();
        for (from, module) in &self.modules {
            for path in module.names.paths.iter().filter(|path| !path.only_passes_on) {
                if let Some(to) = self.home_of(from, &path.segments, 0)
                    && to != *from
                {
                    found.push(Import {
                        file: module.file.clone(),
                        line: path.line,
                        from: from.clone(),
                        to,
                        path: path.segments.join("::"),
                    });
                }
            }
        }
        found
    }

    /// The module that defines what a path names; a name that a file only passes on is followed to where it comes from.
    fn home_of(&self, from: &ModulePath, segments: &[String], followed: usize) -> Option<ModulePath> {
        let (mut at, mut rest) = match segments.first()?.as_str() {
            "crate" => (Vec::new(), &segments[1..]),
            "self" => (from.clone(), &segments[1..]),
            "super" => (from.split_last()?.1.to_vec(), &segments[1..]),
            first => {
                let module = &self.modules[from].names;
                let is_ours = module.parts.iter().any(|part| part == first) && segments.len() > 1;
                // A name that a `use` brought in is reported at the `use`.
                if !is_ours {
                    return None;
                }
                (from.clone(), segments)
            }
        };
        while let Some((segment, behind)) = rest.split_first() {
            if segment == "super" {
                at.pop()?;
                rest = behind;
                continue;
            }
            let part: ModulePath = at.iter().chain([segment]).cloned().collect();
            if self.modules.contains_key(&part) {
                (at, rest) = (part, behind);
                continue;
            }
            let names = &self.modules.get(&at)?.names;
            let passed = names.paths.iter().find(|path| path.binds.as_ref() == Some(segment));
            return match passed {
                Some(path) if followed < 8 && self.leads_on(&at, path) => {
                    let on: Vec<String> = path.segments.iter().chain(behind).cloned().collect();
                    self.home_of(&at, &on, followed + 1)
                }
                _ => Some(at),
            };
        }
        Some(at)
    }

    fn leads_on(&self, at: &ModulePath, path: &NamedPath) -> bool {
        let first = path.segments.first().map_or("", String::as_str);
        ["crate", "self", "super"].contains(&first)
            || self.modules[at].names.parts.iter().any(|part| part == first)
    }

    /// For each folder that has one, a circle of imports between its parts, told by the lines that make it.
    pub(super) fn circles(&self) -> BTreeMap<String, Vec<String>> {
        let mut folders: BTreeMap<ModulePath, BTreeMap<(String, String), Import>> = BTreeMap::new();
        for import in self.imports() {
            let shared = import.from.iter().zip(&import.to).take_while(|(from, to)| from == to).count();
            let part = |path: &ModulePath| path.get(shared).map_or(OWN, String::as_str).to_owned();
            let edge = (part(&import.from), part(&import.to));
            folders.entry(import.from[..shared].to_vec()).or_default().entry(edge).or_insert(import);
        }
        let circles = folders.into_iter().filter_map(|(folder, imports)| {
            let circle = shortest_circle(imports.keys())?;
            let told = circle.iter().map(|edge| {
                let import = &imports[edge];
                format!("{} uses {}: {}:{} {}", edge.0, edge.1, import.file, import.line, import.path)
            });
            Some((folder.join("/"), told.collect()))
        });
        circles.collect()
    }
}

/// `store/mod.rs` and `store.rs` are both `store`; `lib.rs` is the root.
fn module_path(file: &str) -> ModulePath {
    let name = file.trim_end_matches(".rs");
    let mut path: ModulePath = name.split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| last == "mod") || name == "lib" {
        path.pop();
    }
    path
}

fn shortest_circle<'a>(edges: impl Iterator<Item = &'a (String, String)>) -> Option<Vec<(String, String)>> {
    let mut uses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges {
        uses.entry(from).or_default().push(to);
    }
    let circles = uses.keys().filter_map(|start| {
        // Breadth first, so the first way back is the shortest.
        let mut ways: Vec<Vec<&str>> = vec![vec![start]];
        let mut seen = BTreeSet::new();
        let mut next = 0;
        while next < ways.len() {
            let way = ways[next].clone();
            next += 1;
            for used in uses.get(way[way.len() - 1]).into_iter().flatten() {
                if used == start {
                    return Some(way);
                }
                if seen.insert(*used) {
                    ways.push(way.iter().chain([used]).copied().collect());
                }
            }
        }
        None
    });
    let circle = circles.min_by_key(Vec::len)?;
    let around = circle.iter().skip(1).chain(&circle[..1]);
    Some(circle.iter().zip(around).map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect())
}

fn circles_of<const N: usize>(files: [(&str, &str); N]) -> Vec<String> {
    House::new(files)
        .circles()
        .into_iter()
        .map(|(folder, lines)| format!("{folder}: {}", lines.join(", ")))
        .collect()
}

#[test]
fn two_files_that_import_each_other_are_a_circle() {
    let found = circles_of([
        ("store/mod.rs", "mod read;\nmod log;"),
        ("store/read.rs", "use super::{log::Log, other};"),
        ("store/log.rs", "fn f() {}\nfn g() { super::read::read() }"),
    ]);
    assert_eq!(
        found,
        [
            "store: log uses read: store/log.rs:2 super::read::read, read uses log: store/read.rs:1 super::log::Log"
        ]
    );
}

#[test]
fn a_circle_of_three_is_found_through_the_root() {
    let found = circles_of([
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; mod c; mod d;"),
        ("a/b.rs", "use crate::a::c::X;"),
        ("a/c.rs", "use crate::{a::{d::{Y, Z}}};"),
        ("a/d.rs", "fn f(_: &crate::a::b::W) {}"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("a: b uses c"), "{found:?}");
}

#[test]
fn a_file_and_its_folder_are_one_part() {
    let found = circles_of([
        ("a.rs", "mod b; mod c;"),
        ("a/b.rs", "mod inner; use super::c::X;"),
        ("a/b/inner.rs", "fn f() {}"),
        ("a/c.rs", "mod deep;"),
        ("a/c/deep.rs", "use super::super::b::inner::Y;"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("c uses b: a/c/deep.rs:1"), "{found:?}");
}

#[test]
fn a_part_that_imports_from_the_file_that_uses_it_is_a_circle() {
    let part = ("a/b.rs", "use super::Shared;");
    let found = circles_of([("a.rs", "mod b; pub struct Shared; fn f() { b::run() }"), part]);
    assert_eq!(
        found,
        ["a: (its own file) uses b: a.rs:1 b::run, b uses (its own file): a/b.rs:1 super::Shared"]
    );
    let passed_on = ("a.rs", "mod b; pub use b::Run; pub struct Shared;");
    assert_eq!(circles_of([passed_on, part]), [""; 0], "who only passes a name on does not use it");
    let used_as_well = ("a.rs", "mod b; pub use b::Run; pub struct Shared; fn f(_: Run) {}");
    assert_eq!(circles_of([used_as_well, part]).len(), 1, "who passes a name on may use it as well");
}

#[test]
fn a_reexported_name_belongs_to_its_first_module() {
    let found = circles_of([
        ("a/mod.rs", "mod b; mod c; pub use b::{B, Other as Renamed}; pub use c::C; fn f(_: C) {}"),
        ("a/b.rs", "pub struct B; fn f() {}"),
        ("a/c.rs", "use super::B; use crate::a::Renamed;"),
    ]);
    assert_eq!(found, [""; 0]);
    let found = circles_of([
        ("a/mod.rs", "mod b; mod c; pub use b::B; pub use c::C;"),
        ("a/b.rs", "use super::C;"),
        ("a/c.rs", "use super::B;"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
}
