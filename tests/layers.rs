//! Holds the one direction of imports: a module imports only from below itself.
//!
//! The order of [`LAYERS`] is the statement of it; `ARCHITECTURE.md` describes what each module is for. The check reads
//! `crate::x` in the text of the sources, so it needs no compiler; comments, string literals and test modules are left out.

use std::path::Path;
use std::{fs, io};

/// From the top of the house to the bottom. Modules of one rank may not import each other.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["app"],
    &["reload"],
    &["server"],
    &["gateway"],
    &["oauth", "account", "admin", "health", "verify"],
    &["proxy"],
    &["auth"],
    &["inbound"],
    &["reject"],
    &["identity"],
    &["limit"],
    &["issuers"],
    &["token"],
    &["store"],
    &["observe"],
    &["config"],
    &["route"],
];

/// What every module may use. These lie below all layers and may use each other, but not in a circle.
const VOCABULARY: &[&str] = &[
    "body", "causes", "hpack", "http1", "interim", "message", "id", "name", "peer", "seal", "secret",
    "clock", "control", "digits", "shutdown", "spare",
];

/// Names that say nothing about what is inside.
const NAMELESS: &[&str] = &["utils", "util", "common", "helpers", "misc", "types"];

#[test]
fn imports_point_downwards() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    read_sources(&root, "", &mut files)?;
    files.sort();
    assert!(files.len() > 10, "only {} sources found below src", files.len());
    let sources: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let faults = check(&sources);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    Ok(())
}

/// All faults of a tree of sources, given as paths below `src` and texts.
fn check(sources: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut words = Vec::new();
    for (path, text) in sources {
        let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        if let Some(part) = parts.iter().find(|part| NAMELESS.contains(part)) {
            faults.push(format!("{path}: `{part}` says nothing about what is inside"));
        }
        let module = parts[0];
        // The root of the library only lists the modules; `bin` would be other programs.
        if module == "lib" || is_test(&parts) {
            continue;
        }
        let Some(own) = rank(module) else {
            faults.push(format!("{path}: the module `{module}` has no place in LAYERS"));
            continue;
        };
        for (line, import) in imports(&parts, text) {
            let at = format!("{path}:{line}: `{module}` imports from `{import}`");
            match rank(&import) {
                _ if import == module => {}
                None => faults.push(format!("{at}, which has no place in LAYERS")),
                Some(other) if other < own => faults.push(format!("{at}, which lies above it")),
                Some(other) if other == own && own < LAYERS.len() => {
                    faults.push(format!("{at}, a room of the same rank"));
                }
                Some(other) if other == own => words.push((module.to_owned(), import)),
                Some(_) => {}
            }
        }
    }
    faults.extend(
        circle(&words).map(|name| format!("the vocabulary word `{name}` imports itself in a circle")),
    );
    faults
}

/// Whether a file is a test module: `x/tests.rs`, or below a folder `x/tests`.
fn is_test(parts: &[&str]) -> bool {
    parts.contains(&"tests")
}

fn rank(module: &str) -> Option<usize> {
    let layer = LAYERS.iter().position(|layer| layer.contains(&module));
    layer.or_else(|| VOCABULARY.contains(&module).then_some(LAYERS.len()))
}

/// The first module that is reached from itself.
fn circle(imports: &[(String, String)]) -> Option<&str> {
    let is_in_circle = |start: &str| {
        let (mut seen, mut open) = (Vec::new(), vec![start]);
        while let Some(module) = open.pop() {
            for (_, to) in imports.iter().filter(|(from, _)| from == module) {
                if !seen.contains(&to.as_str()) {
                    seen.push(to);
                    open.push(to);
                }
            }
        }
        seen.contains(&start)
    };
    imports.iter().map(|(from, _)| from.as_str()).find(|from| is_in_circle(from))
}

/// The modules that a source names after `crate::`, after the name of the library, or after as many `super::` as lead to
/// the root, with the line.
fn imports(parts: &[&str], text: &str) -> Vec<(usize, String)> {
    let depth = parts.iter().filter(|&&part| part != "mod").count();
    let code = without_tests(&without_comments(text));
    let mut found = Vec::new();
    for root in ["crate::", "portcullis::", &"super::".repeat(depth)] {
        for (at, _) in code.match_indices(root) {
            let is_word_before =
                code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
            if !is_word_before {
                let line = code[..at].matches('\n').count() + 1;
                found.extend(heads(&code[at + root.len()..]).into_iter().map(|head| (line, head)));
            }
        }
    }
    found.sort();
    found
}

/// The first names of a path or of a group of paths: `a` of `a::b`, `a` and `c` of `{a::{b}, c}`.
fn heads(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut depth, mut start, mut heads) = (1, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            heads.push(name(&group[start..at]));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

/// Blanks comments, string literals and braces in character literals, and keeps the lines.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            string_length(rest)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            raw_string_length(rest)
        } else if let Some(literal) =
            ["'\"'", "'{'", "'}'", "'\\''", "'\\\\'"].iter().find(|l| rest.starts_with(**l))
        {
            literal.len()
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    out
}

fn string_length(rest: &str) -> usize {
    let mut is_escaped = true;
    for (at, c) in rest.char_indices() {
        if c == '"' && !is_escaped {
            return at + 1;
        }
        // The opening quote counts as escaped, so that it does not close the string.
        is_escaped = !is_escaped && c == '\\';
    }
    rest.len()
}

/// A raw string, or the two bytes of `r#` in a raw identifier.
fn raw_string_length(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|&c| c == '#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 2;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = 2 + hashes;
    rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len())
}

/// Blanks what follows `#[cfg(test)]`: a block, or an item up to its semicolon.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let mut depth = 0;
        let end = out[start..].char_indices().find_map(|(at, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            (depth == 0 && matches!(c, '}' | ';')).then_some(start + at + c.len_utf8())
        });
        let end = end.unwrap_or(out.len());
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// Adds the sources in a folder, with their paths below `src`. `below` is the path of the folder, with a slash if any.
fn read_sources(folder: &Path, below: &str, files: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = format!("{below}{}", path.file_name().unwrap_or_default().display());
        if path.is_dir() {
            read_sources(&path, &format!("{name}/"), files)?;
        } else if name.ends_with(".rs") {
            files.push((name, fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

#[test]
fn the_check_finds_what_it_should() {
    let upward = "which lies above it";
    for (path, text, fault) in [
        ("route/mod.rs", "use crate::config::Config;", upward),
        ("route/table.rs", "fn f() {\n    let x = crate::proxy::Pool::new();\n}", upward),
        ("token/mod.rs", "use crate::{clock::Time, identity::{User, Session}};", upward),
        ("token/mod.rs", "use crate::{\n    clock::Time,\n    identity,\n};", upward),
        ("clock.rs", "pub use crate::route::Table;", upward),
        ("store/sled.rs", "pub(crate) use crate::cli::run;", upward),
        ("reject.rs", "use crate::gateway;", upward),
        ("proxy/mod.rs", "const C: char = '\"'; use crate::gateway; // \"", upward),
        ("proxy/mod.rs", "fn f<'a>(x: &'a str) {} use crate::gateway;", upward),
        ("proxy/mod.rs", "#[cfg(test)]\nmod tests;\nuse crate::gateway;", upward),
        ("proxy/mod.rs", "#[cfg(test)]\nmod tests { const C: char = '{'; }\nuse crate::gateway;", upward),
        ("admin/users.rs", "use crate::oauth::Grant;", "a room of the same rank"),
        ("health.rs", "use crate::account;", "a room of the same rank"),
        ("cli/mod.rs", "use portcullis::main;", upward),
        ("clock.rs", "use super::route;", upward),
        ("route/mod.rs", "use super::{name, config};", upward),
        ("route/table.rs", "use super::super::config;", upward),
        ("gateway/mod.rs", "use crate::cache::Cache;", "`cache`, which has no place in LAYERS"),
        ("cache/mod.rs", "", "`cache` has no place in LAYERS"),
        ("proxy/utils.rs", "", "`utils` says nothing"),
        ("helpers/mod.rs", "", "`helpers` says nothing"),
        ("token/types/claims.rs", "", "`types` says nothing"),
    ] {
        let faults = check(&[(path, text)]);
        assert!(faults.iter().any(|found| found.contains(fault)), "{path}: {text}: {faults:?}");
    }
    let line = check(&[("route/mod.rs", "//! crate::cli\n/* crate::cli */\nuse crate::app;")]);
    assert_eq!(line, ["route/mod.rs:3: `route` imports from `app`, which lies above it"]);
}

#[test]
fn the_check_lets_pass_what_it_should() {
    for (path, text) in [
        ("gateway/mod.rs", "use crate::{auth, proxy::{forward, Pool}, route::Table};"),
        ("route/table.rs", "use crate::route::Pattern; use crate::name::Roles; use super::config;"),
        ("main.rs", "use portcullis::cli;"),
        ("lib.rs", "pub use crate::anything;"),
        ("admin/mod.rs", "use crate::admin::users; use crate::proxy;"),
        ("route/mod.rs", "// use crate::cli;\n/// [`crate::cli`]\nconst S: &str = \"\\\" use crate::cli;\";"),
        ("route/mod.rs", "const S: &str = r#\"\" use crate::cli;\"#;"),
        ("route/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::gateway::handle;\n    fn f() {}\n}"),
        ("route/mod.rs", "#[cfg(test)]\nuse crate::gateway;\nuse crate::name;"),
        ("route/table/tests.rs", "use crate::gateway;"),
        ("route/mod.rs", "use my_crate::cli;"),
        ("id.rs", "use crate::secret::Secret;"),
    ] {
        assert_eq!(check(&[(path, text)]), [""; 0], "{path}: {text}");
    }
}

#[test]
fn the_vocabulary_has_no_circle() {
    let id = ("id.rs", "use crate::secret::Secret;");
    assert_eq!(check(&[id, ("secret.rs", "use crate::clock;")]), [""; 0]);
    let faults = check(&[id, ("secret.rs", "use crate::clock;"), ("clock.rs", "use crate::id;")]);
    assert_eq!(faults, ["the vocabulary word `id` imports itself in a circle"]);
}
