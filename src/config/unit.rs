//! Durations and sizes as people write them: `"15m"`, `"10MiB"`. One whole number, one unit.

use std::fmt;
use std::time::Duration;

/// Milliseconds in each unit, the greatest first.
const TIME: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Bytes in each unit, the greatest first.
const SIZE: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A duration in the notation of the file. `Display` picks the greatest unit that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// A number of bytes in the notation of the file. `Display` picks the greatest unit that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

impl Span {
    /// Reads `"250ms"`, `"5s"`, `"15m"`, `"1h"` or `"7d"`; `None` when the text is something else or does not fit.
    pub(super) fn parse(text: &str) -> Option<Self> {
        parse(text, &TIME).map(|millis| Self(Duration::from_millis(millis)))
    }
}

impl Bytes {
    /// Reads `"512B"`, `"8KiB"`, `"10MiB"` or `"1GiB"`; `None` when the text is something else or does not fit.
    pub(super) fn parse(text: &str) -> Option<Self> {
        parse(text, &SIZE).map(Self)
    }

    /// What was probably meant: `"10MB"`, `"10 MiB"` and `"10m"` are all near `"10MiB"`.
    pub(super) fn guess(text: &str) -> Option<String> {
        let (number, unit) = split(text)?;
        let unit = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" | "bytes" => "B",
            "k" | "kb" | "kib" => "KiB",
            "m" | "mb" | "mib" => "MiB",
            "g" | "gb" | "gib" => "GiB",
            _ => return None,
        };
        Some(format!("{number}{unit}"))
    }
}

impl Span {
    /// What was probably meant: `"10 sec"` and `"10S"` are near `"10s"`.
    pub(super) fn guess(text: &str) -> Option<String> {
        let (number, unit) = split(text)?;
        let unit = match unit.trim().to_ascii_lowercase().as_str() {
            "ms" | "msec" | "millis" | "milliseconds" => "ms",
            "" | "s" | "sec" | "secs" | "second" | "seconds" => "s",
            "m" | "min" | "mins" | "minute" | "minutes" => "m",
            "h" | "hr" | "hrs" | "hour" | "hours" => "h",
            "d" | "day" | "days" => "d",
            _ => return None,
        };
        Some(format!("{number}{unit}"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u64::try_from(self.0.as_millis()) {
            Ok(0) => f.write_str("0s"),
            Ok(millis) => write(f, millis, &TIME),
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0B") } else { write(f, self.0, &SIZE) }
    }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = split(text)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Splits behind the leading digits; `None` when there are none.
fn split(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).filter(|(number, _)| !number.is_empty())
}

fn write(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    units
        .iter()
        .find(|(_, factor)| value.is_multiple_of(*factor))
        .map_or(Ok(()), |(name, factor)| write!(f, "{}{name}", value / factor))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Bytes, Span};

    #[test]
    fn units_are_exact() {
        let millis = |text| Span::parse(text).map(|span| span.0.as_millis());
        assert_eq!(millis("250ms"), Some(250));
        assert_eq!(millis("5s"), Some(5000));
        assert_eq!(millis("15m"), Some(900_000));
        assert_eq!(millis("1h"), Some(3_600_000));
        assert_eq!(millis("7d"), Some(604_800_000));
        let bytes = |text| Bytes::parse(text).map(|size| size.0);
        assert_eq!(bytes("512B"), Some(512));
        assert_eq!(bytes("8KiB"), Some(8192));
        assert_eq!(bytes("10MiB"), Some(10_485_760));
        assert_eq!(bytes("1GiB"), Some(1_073_741_824));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "s", "5", "5 s", " 5s", "-5s", "+5s", "5.0s", "5S", "1m30s", "99999999999999999999s"]
        {
            assert_eq!(Span::parse(text), None, "{text:?}");
        }
        for text in ["", "B", "5", "5 B", "5MB", "5kib", "0x5B", "18446744073709551615GiB"] {
            assert_eq!(Bytes::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_guess_can_be_read() {
        assert_eq!(Span::guess("10 sec").as_deref(), Some("10s"));
        assert_eq!(Span::guess("10").as_deref(), Some("10s"));
        assert_eq!(Span::guess("soon"), None);
        assert_eq!(Bytes::guess("10MB").as_deref(), Some("10MiB"));
        assert_eq!(Bytes::guess("10 pages"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_reads_back(millis: u32, bytes: u64) {
            let span = Span(Duration::from_millis(millis.into()));
            prop_assert_eq!(Span::parse(&span.to_string()), Some(span));
            prop_assert_eq!(Bytes::parse(&Bytes(bytes).to_string()), Some(Bytes(bytes)));
        }
    }
}
