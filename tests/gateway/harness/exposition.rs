//! A strict reader of what `/metrics` answers: Prometheus' text format 0.0.4 and OpenMetrics 1.0.

use std::collections::BTreeMap;

/// A page that keeps to its format.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Names and types of the families, as they stand.
    pub(crate) families: BTreeMap<String, String>,
    /// `name{label="value",...}` → value.
    pub(crate) samples: BTreeMap<String, f64>,
}

impl Page {
    /// Reads a page; whether it is OpenMetrics follows from its last line.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let open = text.ends_with("\n# EOF\n");
        let text = text.strip_suffix("# EOF\n").unwrap_or(text);
        assert!(text.ends_with('\n') && !text.contains('\r'), "the last line ends");
        let mut page = Self { families: BTreeMap::new(), samples: BTreeMap::new() };
        let mut family: Option<(String, String)> = None;
        let mut help = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').expect(line);
                assert!(!words.trim().is_empty() && !words.contains('\\'), "{line}");
                help = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert_eq!(help.as_deref(), Some(name), "each family has its HELP before its TYPE");
                assert!(is_name(name) && ["counter", "gauge", "histogram", "info"].contains(&kind), "{line}");
                assert!(open || kind != "info", "{line}");
                let first = page.families.insert(name.to_owned(), kind.to_owned()).is_none();
                assert!(first, "a family comes once: {line}");
                family = Some((name.to_owned(), kind.to_owned()));
            } else {
                let (name, kind) = family.as_ref().expect(line);
                page.sample(line, name, kind, open);
            }
        }
        page.check_histograms();
        page
    }

    /// The value of a sample; 0 if there is none.
    pub(crate) fn get(&self, sample: &str) -> f64 {
        self.samples.get(sample).copied().unwrap_or_default()
    }

    /// All values of a label.
    pub(crate) fn label(&self, label: &str) -> Vec<String> {
        let mark = format!("{label}=\"");
        let value = |sample: &String| {
            let (_, rest) = sample.split_once(&mark)?;
            Some(rest.split('"').next()?.to_owned())
        };
        let mut values: Vec<_> = self.samples.keys().filter_map(value).collect();
        values.sort();
        values.dedup();
        values
    }

    #[track_caller]
    fn sample(&mut self, line: &str, family: &str, kind: &str, open: bool) {
        let (key, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = match key.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').expect(line)),
            None => (key, ""),
        };
        let suffixes: &[&str] = match (kind, open) {
            ("counter", true) => &["_total"],
            ("info", _) => &["_info"],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        let suffix = name.strip_prefix(family).expect("a sample stands in its family");
        assert!(suffixes.contains(&suffix), "{line}");
        assert!(kind != "counter" || name.ends_with("_total"), "{line}");
        assert!(labels.is_empty() || labels.split("\",").all(is_label), "{line}");
        let value: f64 = value.parse().expect(line);
        assert!(value.is_finite() && value >= 0.0, "{line}");
        assert!(self.samples.insert(key.to_owned(), value).is_none(), "a sample comes once: {line}");
    }

    /// Buckets ascend, and the last one is the count.
    #[track_caller]
    fn check_histograms(&self) {
        for (family, _) in self.families.iter().filter(|(_, kind)| *kind == "histogram") {
            let mark = format!("{family}_bucket{{le=\"");
            let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
            for (key, value) in &self.samples {
                let Some((bound, rest)) = key.strip_prefix(&mark).and_then(|rest| rest.split_once('"'))
                else {
                    continue;
                };
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                let labels = rest.trim_start_matches(',').trim_end_matches('}').to_owned();
                series.entry(labels).or_default().push((bound, *value));
            }
            for (labels, mut buckets) in series {
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(
                    buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1),
                    "{family} {labels} {buckets:?}"
                );
                let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
                let count = self.samples[&format!("{family}_count{braces}")];
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{family} {labels}");
                assert!(self.samples.contains_key(&format!("{family}_sum{braces}")), "{family} {labels}");
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `name="value`, with or without the closing quote; nothing that we put into a label has to be escaped.
fn is_label(label: &str) -> bool {
    let Some((name, value)) = label.split_once("=\"") else { return false };
    let value = value.strip_suffix('"').unwrap_or(value);
    is_name(name) && !value.contains(['"', '\\', '\n'])
}
