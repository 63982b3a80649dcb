//! What a value may be. A rule is a function from a TOML value to a checked one, with the allowed range in its refusal.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::diagnostics::{did_you_mean, quote};
use super::reader::{Fault, describe};
use super::unit::{Bytes, Span};

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
        let span = Span::parse(text).ok_or_else(|| Fault {
            message: format!(
                "expected a duration, a whole number with one of the units ms, s, m, h, d, not {}",
                quote(text)
            ),
            help: Span::guess(text).map(|guess| format!("write \"{guess}\"")),
        })?;
        if range.contains(&span.0) {
            Ok(span.0)
        } else {
            Err(format!("must be {} to {}, not {}", Span(*range.start()), Span(*range.end()), quote(text))
                .into())
        }
    }
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
