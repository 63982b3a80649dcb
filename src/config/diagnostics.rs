//! What is wrong with a file, and where: collected while it is read, shown all at once.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::settings::Config;

/// More errors or warnings than this are counted, not shown: nobody reads them, and each is located in the whole file.
const SHOWN: usize = 100;

/// Every error of a configuration file, in the order of the file. There is at least one.
///
/// `Display` is the rendered text without colour, as [`Diagnostics::render`] gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Diagnostics {
    file: String,
    text: String,
    problems: Vec<Problem>,
    more: usize,
}

impl Diagnostics {
    /// The errors as text for people: file, line, column, the source with the culprit underlined, and help.
    ///
    /// `color` adds ANSI escapes; it is the caller who knows whether a terminal reads this.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for problem in &self.problems {
            if !out.is_empty() {
                out.push_str("\n\n");
            }
            out.push_str(&self.render_one(problem, &renderer));
        }
        if self.more > 0 {
            out.push_str(&format!("\n\nand {} more errors", self.more));
        }
        out
    }

    /// Each error as one line for a log: `config.toml:12:3: server.worker: unknown key; did you mean "workers"?`.
    pub fn iter(&self) -> impl Iterator<Item = String> + '_ {
        self.problems.iter().map(|problem| line(&self.file, &self.text, problem))
    }

    /// A file that could not even be read.
    pub(super) fn unreadable(file: String, message: String) -> Self {
        let problem = Problem::new(Kind::Syntax, String::new(), message);
        Self { file, text: String::new(), problems: vec![problem], more: 0 }
    }

    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(problem.title());
        let Some(span) = &problem.span else {
            let title = Level::ERROR.primary_title(format!("{}: {}", self.file, problem.title()));
            return renderer
                .render(&[title.elements(problem.help.as_ref().map(|help| Level::HELP.message(help)))]);
        };
        let mut primary = AnnotationKind::Primary.span(clamp(&self.text, span));
        if !problem.label.is_empty() {
            primary = primary.label(problem.label.as_str());
        }
        let also = problem
            .also
            .as_ref()
            .map(|(span, label)| AnnotationKind::Context.span(clamp(&self.text, span)).label(label.as_str()));
        let snippet = Snippet::source(&self.text).path(&self.file).annotation(primary).annotations(also);
        let help = problem.help.as_ref().map(|help| Level::HELP.message(help));
        renderer.render(&[title.element(snippet).elements(help)])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// The lines of [`Diagnostics::iter`]: the source text would drown a failing test or a log.
impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl std::error::Error for Diagnostics {}

/// How far a problem can be believed when the file does not even parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not TOML.
    Syntax,
    /// One key or value is wrong, whatever stands elsewhere.
    Value,
    /// Something is missing or does not fit something else: may be a mere consequence of a syntax error.
    Whole,
}

/// One error, or one warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    kind: Kind,
    key: String,
    message: String,
    span: Option<Range<usize>>,
    label: String,
    also: Option<(Range<usize>, String)>,
    help: Option<String>,
}

impl Problem {
    /// `key` is the key's path, `route[2].upstream`; empty when the problem is the file's.
    pub(super) fn new(kind: Kind, key: impl Into<String>, message: impl Into<String>) -> Self {
        let (key, message) = (key.into(), message.into());
        Self { kind, key, message, span: None, label: String::new(), also: None, help: None }
    }

    /// Where: byte offsets into the file's text.
    #[must_use]
    pub(super) fn at(mut self, span: Option<Range<usize>>) -> Self {
        self.span = span;
        self
    }

    /// A few words beside the underlining.
    #[must_use]
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// A second place that is part of the problem; `None` when it is a default and stands nowhere.
    #[must_use]
    pub(super) fn also(mut self, span: Option<Range<usize>>, label: impl Into<String>) -> Self {
        self.also = span.map(|span| (span, label.into()));
        self
    }

    /// What to do about it.
    #[must_use]
    pub(super) fn help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    fn title(&self) -> String {
        if self.key.is_empty() { self.message.clone() } else { format!("{}: {}", self.key, self.message) }
    }
}

/// The errors and warnings met so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Every key that the reader asked for, as `section.key`: the test of `config.toml.example` wants them all there.
    #[cfg(test)]
    pub(super) known: std::collections::BTreeSet<(&'static str, &'static str)>,
}

impl Problems {
    /// Records an error.
    pub(super) fn error(&mut self, problem: Problem) {
        self.errors.push(problem);
    }

    /// Records a warning: the file is accepted all the same.
    pub(super) fn warn(&mut self, problem: Problem) {
        self.warnings.push(problem);
    }

    /// Notes that the reader knows this key. In the product nobody wants the list.
    pub(super) fn asked(&mut self, section: &'static str, key: &'static str) {
        #[cfg(test)]
        self.known.insert((section, key));
        let _ = (section, key);
    }

    /// The configuration with its warnings when there was no error, otherwise the errors.
    pub(super) fn finish(
        mut self,
        config: Option<Config>,
        file: &str,
        text: &str,
    ) -> Result<Config, Diagnostics> {
        if self.errors.is_empty() {
            if let Some(config) = config {
                return Ok(Config { warnings: lines(file, text, &self.warnings), ..config });
            }
            self.error(Problem::new(Kind::Whole, "route", "routes and local endpoints match alike"));
        }
        self.drop_consequences(text);
        self.errors.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        let more = self.errors.len().saturating_sub(SHOWN);
        self.errors.truncate(SHOWN);
        Err(Diagnostics { file: file.into(), text: text.into(), problems: self.errors, more })
    }

    /// Beside a syntax error only those problems are told that it cannot have caused: the parser goes on behind it
    /// with keys lost and values made up.
    fn drop_consequences(&mut self, text: &str) {
        let broken: Vec<Range<usize>> = self
            .errors
            .iter()
            .filter(|problem| problem.kind == Kind::Syntax)
            .filter_map(|problem| problem.span.as_ref().map(|span| line_around(text, span)))
            .take(SHOWN)
            .collect();
        if broken.is_empty() {
            return;
        }
        let on_broken_line = |span: &Range<usize>| broken.iter().any(|line| line.contains(&span.start));
        self.errors.retain(|problem| match problem.kind {
            Kind::Syntax => true,
            Kind::Whole => false,
            Kind::Value => problem.span.as_ref().is_none_or(|span| !on_broken_line(span)),
        });
    }
}

/// The known name that a misspelt one was probably meant to be.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_ascii_lowercase().replace('-', "_");
    let distance = |candidate: &str| strsim::damerau_levenshtein(&folded, &candidate.to_ascii_lowercase());
    // A third of the letters may be wrong: more alike than that and the hint is noise.
    let tolerance = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerance && name.len() <= 128)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean "workers"?`, when something is near.
pub(super) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean \"{near}\"?"))
}

/// Text from the file inside a message: quoted, control characters escaped, not longer than a line.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// Line and column (in characters) of a byte, counted from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(start..).map_or(0, |line| line.chars().count());
    (before.bytes().filter(|&byte| byte == b'\n').count() + 1, column + 1)
}

/// The whole line, or lines, on which a span stands.
fn line_around(text: &str, span: &Range<usize>) -> Range<usize> {
    let span = clamp(text, span);
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let rest = text.get(span.end..).unwrap_or_default();
    start..span.end + rest.find('\n').unwrap_or(rest.len()) + 1
}

/// The warnings for a log, as many as anybody reads: each is located in the whole file.
fn lines(file: &str, text: &str, warnings: &[Problem]) -> Vec<String> {
    let shown = warnings.iter().take(SHOWN).map(|problem| line(file, text, problem));
    let more =
        warnings.len().checked_sub(SHOWN + 1).map(|more| format!("{file}: and {} more warnings", more + 1));
    shown.chain(more).collect()
}

fn line(file: &str, text: &str, problem: &Problem) -> String {
    let place = problem.span.as_ref().map(|span| position(text, clamp(text, span).start));
    let mut out = match place {
        Some((line, column)) => format!("{file}:{line}:{column}: {}", problem.title()),
        None => format!("{file}: {}", problem.title()),
    };
    if let Some((span, label)) = &problem.also {
        out.push_str(&format!(" ({label}: line {})", position(text, span.start).0));
    }
    if let Some(help) = &problem.help {
        out.push_str("; ");
        out.push_str(help);
    }
    out.replace(char::is_control, " ")
}

/// The span moved onto character boundaries inside the text: the renderer panics on any other.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end).max(start);
    start..end
}
