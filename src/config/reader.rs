//! Reads tables key by key. What a section asks for is all that it knows: the list of known keys, from which
//! misspelt ones are told, is the list of calls.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{Kind, Problem, Problems, did_you_mean};

/// A value and the place where it was given.
#[derive(Debug, Clone)]
pub(super) struct Given<T> {
    /// The value.
    pub(super) value: T,
    /// Bytes of the file; `None` for a default.
    pub(super) span: Option<Range<usize>>,
}

/// The elements of an array.
#[derive(Debug)]
pub(super) struct Items<T> {
    /// Those that are right.
    pub(super) items: Vec<Given<T>>,
    /// How many there are, right or wrong.
    pub(super) elements: usize,
    /// The whole array.
    pub(super) span: Option<Range<usize>>,
}

/// Why a value is refused.
#[derive(Debug)]
pub(super) struct Fault {
    /// What is expected: the end of the sentence "expected ...", or a sentence of its own.
    pub(super) message: String,
    /// What to write instead.
    pub(super) help: Option<String>,
}

impl<S: Into<String>> From<S> for Fault {
    fn from(message: S) -> Self {
        Self { message: message.into(), help: None }
    }
}

/// One table of the file, or the absence of it.
#[derive(Debug)]
pub(super) struct Fields<'a, 'i, 'p> {
    /// `server`, `route`, `upstream`: what stands for the section in the list of known keys.
    section: &'static str,
    /// `server`, `route[2]`, `upstream.orders`: what stands before a key in messages.
    path: String,
    table: Option<&'a DeTable<'i>>,
    /// The table's header, for what is missing from it.
    header: Option<Range<usize>>,
    asked: Vec<&'static str>,
    /// Where errors and warnings go.
    pub(super) problems: &'p mut Problems,
}

impl<'a, 'i, 'p> Fields<'a, 'i, 'p> {
    /// A table of the section. Anything but a table is an error and reads like an empty one.
    pub(super) fn of(
        section: &'static str,
        path: String,
        value: Option<&'a Spanned<DeValue<'i>>>,
        problems: &'p mut Problems,
    ) -> Self {
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            let message = format!("expected a table, found {}", describe(value.get_ref()));
            let problem = Problem::new(Kind::Value, path.as_str(), message).at(Some(value.span()));
            problems.error(problem.help(Some(format!("write [{section}] on a line of its own"))));
        }
        Self { section, path, table, header: value.map(Spanned::span), asked: Vec::new(), problems }
    }

    /// `server`, `route[2]`, `upstream.orders`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The path of one of its keys: `server.listen`.
    pub(super) fn key(&self, name: &str) -> String {
        key(&self.path, name)
    }

    /// Where the table begins.
    pub(super) fn header(&self) -> Option<Range<usize>> {
        self.header.clone()
    }

    /// The value of a key; `None` when it is absent or, with an error recorded, wrong.
    pub(super) fn get<T>(
        &mut self,
        name: &'static str,
        rule: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Option<Given<T>> {
        let value = self.find(name)?;
        read(value, || key(&self.path, name), rule, self.problems)
    }

    /// The value of a key, or the default.
    pub(super) fn given<T>(
        &mut self,
        name: &'static str,
        rule: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
        default: T,
    ) -> Given<T> {
        self.get(name, rule).unwrap_or(Given { value: default, span: None })
    }

    /// The value of a key without its place, or the default.
    pub(super) fn or<T>(
        &mut self,
        name: &'static str,
        rule: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
        default: T,
    ) -> T {
        self.given(name, rule, default).value
    }

    /// The elements of an array.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        list: List,
        rule: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Option<Items<T>> {
        let value = self.find(name)?;
        let span = Some(value.span());
        let Some(array) = value.get_ref().as_array() else {
            if list == List::OneOrMore {
                let only = read(value, || key(&self.path, name), rule, self.problems)?;
                return Some(Items { items: vec![only], elements: 1, span });
            }
            let message = format!("expected an array, found {}", describe(value.get_ref()));
            let help = value.get_ref().as_str().map(|text| format!("write [{text:?}]"));
            self.problems.error(Problem::new(Kind::Value, self.key(name), message).at(span).help(help));
            return None;
        };
        let element = |(index, value)| {
            read(value, || format!("{}[{index}]", key(&self.path, name)), &rule, self.problems)
        };
        let items = array.iter().enumerate().filter_map(element).collect();
        Some(Items { items, elements: array.len(), span })
    }

    /// Whether the key stands there, right or wrong: what is wrong is not missing as well.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// Records that a key without default is not there.
    pub(super) fn missing(&mut self, name: &str, help: Option<String>) {
        if !self.has(name) {
            let problem = Problem::new(Kind::Whole, self.key(name), "this key is missing");
            self.problems.error(problem.at(self.header()).label(format!("needs `{name}`")).help(help));
        }
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !self.asked.contains(&name) {
                let help = did_you_mean(name, self.asked.iter().copied())
                    .unwrap_or_else(|| format!("known here: {}", self.asked.join(", ")));
                let problem = Problem::new(Kind::Value, self.key(&bare(name)), "unknown key");
                self.problems.error(problem.at(Some(key.span())).help(Some(help)));
            }
        }
    }

    fn find(&mut self, name: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.asked.push(name);
        self.problems.asked(self.section, name);
        self.table?.get(name)
    }
}

/// What an array may also be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// Always an array.
    Array,
    /// One bare value stands for an array of one.
    OneOrMore,
}

/// A key as it must be written in TOML: quoted where it has to be.
pub(super) fn bare(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(plain) { key.into() } else { super::diagnostics::quote(key) }
}

/// A value's type, with an article.
pub(super) fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn key(path: &str, name: &str) -> String {
    format!("{path}.{name}")
}

fn read<T>(
    value: &Spanned<DeValue<'_>>,
    path: impl Fn() -> String,
    rule: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
    problems: &mut Problems,
) -> Option<Given<T>> {
    let span = Some(value.span());
    match rule(value.get_ref()) {
        Ok(value) => Some(Given { value, span }),
        Err(Fault { message, help }) => {
            problems.error(Problem::new(Kind::Value, path(), message).at(span).help(help));
            None
        }
    }
}
