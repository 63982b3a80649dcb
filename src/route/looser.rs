//! What a clean path becomes for parsers that are looser than ours: see [`CleanPath`](super::CleanPath).

use super::PathError;
use super::alphabet::{escaped_byte, is_pchar};

/// Whether a looser parser does a step, and if so, before or after it cuts parameters off: `/a;x%2Fb` is `/a/b` for
/// one that decodes the slash first, and `/a` for one that decodes it last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Never,
    First,
    Last,
}

/// What a looser parser takes for the beginning of parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameters {
    Kept,
    Semicolon,
    EscapedSemicolon,
}

/// All readings that differ from the path itself, each once. `path` is normalised. At most 27 combinations are tried, so
/// the cost is linear in the length of the path.
///
/// # Errors
/// [`PathError::HiddenDots`] if a segment is `.` or `..` in any of them: our path has none, so it would be a traversal.
pub(super) fn readings(path: &str) -> Result<Vec<String>, PathError> {
    let mut readings = Vec::new();
    if !path.contains([';', '%']) {
        return Ok(readings);
    }
    let has_escaped_semicolon = path.contains("%3B");
    let parameters = match (has_escaped_semicolon, path.contains(';')) {
        (true, _) => &[Parameters::Kept, Parameters::Semicolon, Parameters::EscapedSemicolon][..],
        (false, true) => &[Parameters::Kept, Parameters::Semicolon],
        (false, false) => &[Parameters::Kept],
    };
    let slash = steps(path.contains("%2F"));
    let cut = steps(find_delimiter(path).is_some());
    for &parameters in parameters {
        for &slash in slash {
            for &cut in cut {
                let reading = read(path, parameters, slash, cut)?;
                if reading != path && !readings.contains(&reading) {
                    readings.push(reading);
                }
            }
        }
    }
    Ok(readings)
}

fn steps(possible: bool) -> &'static [Step] {
    if possible { &[Step::Never, Step::First, Step::Last] } else { &[Step::Never] }
}

fn read(path: &str, parameters: Parameters, slash: Step, cut: Step) -> Result<String, PathError> {
    let mut text = path.to_owned();
    if cut == Step::First {
        cut_at_delimiter(&mut text);
    }
    if slash == Step::First {
        text = text.replace("%2F", "/");
    }
    text = match parameters {
        Parameters::Kept => text,
        Parameters::Semicolon => without_parameters(&text),
        Parameters::EscapedSemicolon => without_parameters(&text.replace("%3B", ";")),
    };
    if cut == Step::Last {
        cut_at_delimiter(&mut text);
    }
    if slash == Step::Last {
        text = text.replace("%2F", "/");
    }
    merge_slashes(&decode_needless_escapes(&text))
}

/// Where an escaped `?` or `#` is.
fn find_delimiter(path: &str) -> Option<usize> {
    [path.find("%3F"), path.find("%23")].into_iter().flatten().min()
}

fn cut_at_delimiter(path: &mut String) {
    if let Some(at) = find_delimiter(path) {
        path.truncate(at);
    }
}

/// RFC 3986 §3.3 mentions parameters in segments, and servlet containers strip them before they look for the resource.
fn without_parameters(path: &str) -> String {
    let kept = path.split('/').map(|segment| segment.split_once(';').map_or(segment, |(kept, _)| kept));
    kept.collect::<Vec<_>>().join("/")
}

/// Decodes what could have stood without an escape: nearly every backend takes `/a%3Ab` and `/a:b` for the same, though
/// RFC 3986 §2.2 does not. Patterns are written without such escapes, so this finds the pattern that is meant.
fn decode_needless_escapes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let (escape, after) = escape.split_at_checked(3).unwrap_or((escape, ""));
        match escaped_byte(escape.as_bytes(), 0) {
            Some(byte) if is_pchar(byte) => out.push(char::from(byte)),
            _ => out.push_str(escape),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn merge_slashes(path: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/') {
        match segment {
            "." | ".." => return Err(PathError::HiddenDots),
            "" => {}
            segment => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    if path.ends_with('/') || out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{PathError, readings};

    #[test]
    fn plain_paths_have_no_looser_reading() {
        for path in ["/", "/orders", "/a/b.c/", "/a%20b", "/%C3%A4", "/100%25"] {
            assert_eq!(readings(path).unwrap(), [""; 0], "{path}");
        }
    }

    #[test]
    fn every_order_of_the_steps_is_tried() {
        for (path, expected) in [
            ("/admin;x=1", &["/admin"][..]),
            ("/admin%3Bx", &["/admin;x", "/admin"]),
            ("/admin%3Fx", &["/admin"]),
            ("/admin%23/x", &["/admin"]),
            ("/a%2Fb", &["/a/b"]),
            ("/a%2F%2Fb", &["/a/b"]),
            ("/a;x%2Fb", &["/a;x/b", "/a/b", "/a"]),
            ("/a;x%3Fy/b", &["/a;x", "/a/b", "/a"]),
            ("/a%2Fb;x%2Fc", &["/a/b;x/c", "/a%2Fb", "/a/b", "/a/b/c"]),
            ("/a;x%3Fy/b%3Fz", &["/a;x", "/a/b%3Fz", "/a/b", "/a"]),
            ("/a%3Ab", &["/a:b"]),
            ("/;x", &["/"]),
        ] {
            let mut found = readings(path).unwrap();
            found.sort();
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn dots_that_only_a_looser_parser_sees_are_refused() {
        for path in
            ["/a/..;/b", "/a/..;x", "/.;/b", "/a/..%2Fb", "/a%2F..%2Fb", "/a/..%3Fx", "/a/..%23", "/..%3Bx"]
        {
            assert_eq!(readings(path).unwrap_err(), PathError::HiddenDots, "{path}");
        }
    }
}
