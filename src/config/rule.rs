//! What a value may be. A rule is a function from a TOML value to a checked one, with the allowed range in its refusal.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::diagnostics::{did_you_mean, quote};
use super::reader::{Fault, describe};
use super::text;
use super::unit::{Bytes, Span};
use crate::secret::SecretSource;

/// The rule of every value: whether it is right.
type Checked<T> = Result<T, Fault>;

/// `true` or `false`.
pub(super) fn flag(value: &DeValue<'_>) -> Checked<bool> {
    value.as_bool().ok_or_else(|| expected("true or false", value))
}

/// A string that `parse` accepts.
pub(super) fn parsed<T>(
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> impl Fn(&DeValue<'_>) -> Checked<T> {
    move |value| parse(value.as_str().ok_or_else(|| expected(what, value))?)
}

/// A whole number in a range.
pub(super) fn count<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Checked<T> {
    move |value| {
        let integer = value.as_integer().ok_or_else(|| expected("an integer", value))?;
        let outside = || format!("must be {} to {}, not {integer}", range.start(), range.end()).into();
        let number = number(integer).filter(|number| range.contains(number)).ok_or_else(outside)?;
        T::try_from(number).map_err(|_| outside())
    }
}

/// A duration in a range.
pub(super) fn time(range: RangeInclusive<Duration>) -> impl Fn(&DeValue<'_>) -> Checked<Duration> {
    move |value| {
        let text = unit_text("a duration", "s", value)?;
        let span = span(text)?;
        if range.contains(&span.0) {
            Ok(span.0)
        } else {
            Err(format!("must be {} to {}, not {}", Span(*range.start()), Span(*range.end()), quote(text))
                .into())
        }
    }
}

/// The text of a duration.
pub(super) fn span(text: &str) -> Checked<Span> {
    Span::parse(text).ok_or_else(|| Fault {
        message: format!(
            "expected a duration, a whole number with one of the units ms, s, m, h, d, not {}",
            quote(text)
        ),
        help: Span::guess(text).map(|guess| format!("write \"{guess}\"")),
    })
}

/// A number of bytes in a range.
pub(super) fn size<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Checked<T> {
    move |value| {
        let text = unit_text("a size", "B", value)?;
        let bytes = Bytes::parse(text).ok_or_else(|| Fault {
            message: format!(
                "expected a size, a whole number with one of the units B, KiB, MiB, GiB, not {}",
                quote(text)
            ),
            help: Bytes::guess(text).map(|guess| format!("write \"{guess}\"")),
        })?;
        let outside =
            || format!("must be {} to {}, not {}", Bytes(*range.start()), Bytes(*range.end()), quote(text));
        if !range.contains(&bytes.0) {
            return Err(outside().into());
        }
        T::try_from(bytes.0).map_err(|_| outside().into())
    }
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&DeValue<'_>) -> Checked<T> {
    move |value| {
        let list = || words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let text = value.as_str().ok_or_else(|| expected(&list(), value))?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| Fault {
            message: format!("expected one of {}, not {}", list(), quote(text)),
            help: did_you_mean(text, words.iter().map(|(word, _)| *word)),
        })
    }
}

/// `"off"`, or what `rule` accepts.
pub(super) fn off_or<T>(
    rule: impl Fn(&DeValue<'_>) -> Checked<T>,
) -> impl Fn(&DeValue<'_>) -> Checked<Option<T>> {
    move |value| if value.as_str() == Some("off") { Ok(None) } else { rule(value).map(Some) }
}

/// Where a secret is. A relative path starts at `base`.
pub(super) fn secret(base: &Path) -> impl Fn(&DeValue<'_>) -> Checked<SecretSource> {
    const FORM: &str = "{ env = \"NAME\" } or { file = \"path\" }";
    move |value| {
        let Some(table) = value.as_table() else {
            let fault = expected(FORM, value);
            // What stands there may be the secret itself, so it is not repeated.
            let help = value.is_str().then(|| "this file never holds the secret itself".to_owned());
            return Err(Fault { help, ..fault });
        };
        let mut entries = table.iter();
        let (Some((key, place)), None) = (entries.next(), entries.next()) else {
            return Err(format!("expected exactly one of {FORM}").into());
        };
        let name = key.get_ref().as_ref();
        let place = place.get_ref();
        let text = || place.as_str().ok_or_else(|| expected("a string", place));
        match name {
            "env" => variable(text()?).map(SecretSource::Env),
            "file" => Ok(SecretSource::File(text::below(base, &text::file_path(text()?)?))),
            _ => Err(Fault {
                message: format!("expected {FORM}, found the key {}", quote(name)),
                help: did_you_mean(name, ["env", "file"]),
            }),
        }
    }
}

/// The name of an environment variable: what every shell can set.
fn variable(name: &str) -> Checked<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins_well = name.starts_with(|c: char| is_plain(c) && !c.is_ascii_digit());
    if begins_well && name.chars().all(is_plain) {
        Ok(name.to_owned())
    } else {
        Err("expected the name of an environment variable: letters, digits and underscores".into())
    }
}

/// The text of a value that carries a unit; a bare number gets a hint at the likeliest unit.
fn unit_text<'v>(what: &str, unit: &str, value: &'v DeValue<'_>) -> Checked<&'v str> {
    value.as_str().ok_or_else(|| Fault {
        help: value.as_integer().and_then(number).map(|number| format!("write \"{number}{unit}\"")),
        ..expected(&format!("{what} as a string"), value)
    })
}

fn number(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn expected(what: &str, value: &DeValue<'_>) -> Fault {
    format!("expected {what}, found {}", describe(value)).into()
}
