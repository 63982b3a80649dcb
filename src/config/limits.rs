//! `[limit.NAME]`: how often somebody may ask, and where such limits are named.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Deref, Range};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use crate::name::LimitName;
use crate::route::Access;

use super::diagnostics::{Kind, Problem, Problems, did_you_mean, quote};
use super::reader::{Fault, Fields, Given, List, bare, describe};
use super::rule::{count, one_of, parsed, size};
use super::sections::{distinct, secs};

/// Requests in one period, and at once.
const MAX_COUNT: u32 = 1_000_000;

/// Whoever has used up his burst must not be locked out for longer. It also keeps the arithmetic far from its ends.
const MAX_WINDOW: Duration = secs(30 * 86_400);

const DAY: Duration = secs(86_400);
const PERIODS: [(&str, Duration); 4] = [("s", secs(1)), ("m", secs(60)), ("h", secs(3600)), ("d", DAY)];

/// `[limit.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// NAME.
    pub name: LimitName,
    /// How many requests, in the long run.
    pub rate: Rate,
    /// How many at once, before the rate counts.
    pub burst: u32,
    /// Who has a count of his own.
    pub per: Per,
    /// Bytes of the counters.
    pub memory: u64,
}

impl Limit {
    /// From one request to the next, in the long run.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.rate.period / self.rate.count.max(1)
    }

    /// After which the whole burst is there again.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.interval().saturating_mul(self.burst)
    }
}

/// `100/s`: so many in a second, a minute, an hour or a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// One of the four.
    pub period: Duration,
}

/// Whom a limit counts. In the order in which a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Per {
    /// Each client address, before anything is known of the caller.
    Address,
    /// Each caller who has authenticated and may pass.
    Caller,
    /// All who may pass a route, together.
    Route,
}

impl Per {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Address, Self::Caller, Self::Route];

    /// The word in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Caller => "caller",
            Self::Route => "route",
        }
    }
}

/// The limits that a table names: their positions in [`super::Config::limits`]. Sorted by what they count, so that no request has to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamedLimits {
    positions: Vec<usize>,
    /// Where those per caller begin.
    callers: usize,
    /// Where those per route begin.
    routes: usize,
}

impl NamedLimits {
    fn new(mut positions: Vec<usize>, limits: &[Limit]) -> Self {
        // One that is wrong has no place in the list; its name still counts as used.
        let per = |position: &usize| limits.get(*position).map_or(Per::Route, |limit| limit.per);
        positions.sort_by_key(per);
        let before = |other: Per| positions.iter().take_while(|position| per(position) < other).count();
        Self { callers: before(Per::Caller), routes: before(Per::Route), positions }
    }

    /// Those that count by `per`.
    #[must_use]
    pub fn per(&self, per: Per) -> &[usize] {
        let range = match per {
            Per::Address => 0..self.callers,
            Per::Caller => self.callers..self.routes,
            Per::Route => self.routes..self.positions.len(),
        };
        self.positions.get(range).unwrap_or_default()
    }
}

/// All of them.
impl Deref for NamedLimits {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.positions
    }
}

/// All limits of the file.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// Those that are right, in the order of their names. When one is not, positions are off, but then no `Config` is made.
    pub(super) list: Vec<Limit>,
    /// Every name in the file, right or wrong, in the same order, and where it stands.
    names: Vec<(String, Range<usize>)>,
}

/// Reads the table of tables.
pub(super) fn read(value: Option<&Spanned<DeValue<'_>>>, problems: &mut Problems) -> Limits {
    let mut limits = Limits::default();
    let Some(value) = value else {
        return limits;
    };
    let Some(table) = value.get_ref().as_table() else {
        let message = format!("expected tables [limit.NAME], found {}", describe(value.get_ref()));
        problems.error(Problem::new(Kind::Value, "limit", message).at(Some(value.span())));
        return limits;
    };
    for (key, value) in table {
        let path = format!("limit.{}", bare(key.get_ref()));
        limits.names.push((key.get_ref().to_string(), key.span()));
        if !value.get_ref().is_table() {
            let message = format!("expected a table [limit.NAME], found {}", describe(value.get_ref()));
            problems.error(Problem::new(Kind::Value, path, message).at(Some(key.span())));
            continue;
        }
        let name = LimitName::new(key.get_ref());
        if let Err(error) = &name {
            problems.error(Problem::new(Kind::Value, path.as_str(), error.to_string()).at(Some(key.span())));
        }
        let read = limit(Fields::of("limit", path, Some(value), problems), name.ok());
        limits.list.extend(read);
    }
    limits
}

fn limit(mut fields: Fields<'_, '_, '_>, name: Option<LimitName>) -> Option<Limit> {
    let f = &mut fields;
    let rate = f.get("rate", parsed("a rate", rate));
    if rate.is_none() {
        f.missing("rate", Some("write rate = \"100/s\"".into()));
    }
    let usual = rate.as_ref().map_or(1, |rate| rate.value.count);
    let burst = f.given("burst", count(1..=u64::from(MAX_COUNT)), usual);
    let per = f.get("per", one_of(&Per::ALL.map(|per| (per.name(), per))));
    if per.is_none() {
        f.missing("per", Some("write per = \"address\", \"caller\" or \"route\"".into()));
    }
    let memory = f.or("memory", size(64 << 10..=4 << 30), 4 << 20);
    let limit = name.zip(rate).zip(per).map(|((name, rate), per)| {
        (rate.span, Limit { name, rate: rate.value, burst: burst.value, per: per.value, memory })
    });
    if let Some((span, limit)) = &limit
        && limit.window() > MAX_WINDOW
    {
        let message = "at this rate the burst would come back after more than 30 days";
        let problem = Problem::new(Kind::Whole, f.key("burst"), message).at(burst.span.or(span.clone()));
        f.problems.error(problem.help(Some("choose a smaller burst or a higher rate".into())));
    }
    fields.finish();
    limit.map(|(_, limit)| limit)
}

impl Limits {
    /// The limits that the key `limits` of a table names; `None` if it is not there.
    pub(super) fn named(&self, fields: &mut Fields<'_, '_, '_>) -> Option<NamedLimits> {
        Some(self.sorted(self.given(fields)?.into_iter().map(|limit| limit.value)))
    }

    /// The limits of a route: its own, or else those of `usual` that fit it.
    pub(super) fn of_route(
        &self,
        fields: &mut Fields<'_, '_, '_>,
        access: &Access,
        usual: &[usize],
    ) -> NamedLimits {
        let Some(own) = self.given(fields) else {
            return self.fitting(usual, access);
        };
        for limit in own.iter().filter(|limit| !self.fits(limit.value, access)) {
            let message = "counts by caller, and on a public route nobody is asked who he is";
            let problem = Problem::new(Kind::Whole, fields.key("limits"), message).at(limit.span.clone());
            let help = "name a limit with per = \"address\" or per = \"route\"";
            fields.problems.error(problem.help(Some(help.into())));
        }
        self.sorted(own.into_iter().map(|limit| limit.value))
    }

    /// Those of `usual` that can be applied under this rule.
    pub(super) fn fitting(&self, usual: &[usize], access: &Access) -> NamedLimits {
        self.sorted(usual.iter().copied().filter(|&limit| self.fits(limit, access)))
    }

    fn sorted(&self, positions: impl Iterator<Item = usize>) -> NamedLimits {
        NamedLimits::new(positions.collect(), &self.list)
    }

    /// Warns of limits that nothing names.
    pub(super) fn warn_of_idle(&self, used: &BTreeSet<usize>, problems: &mut Problems) {
        for (index, (name, span)) in self.names.iter().enumerate() {
            if !used.contains(&index) {
                let problem =
                    Problem::new(Kind::Value, format!("limit.{}", bare(name)), "nothing is limited by it");
                let help = "name it in `limits` of a route or of [server]";
                problems.warn(problem.at(Some(span.clone())).help(Some(help.into())));
            }
        }
    }

    fn fits(&self, limit: usize, access: &Access) -> bool {
        let per = self.list.get(limit).map(|limit| limit.per);
        per != Some(Per::Caller) || *access != Access::Public
    }

    fn given(&self, fields: &mut Fields<'_, '_, '_>) -> Option<Vec<Given<usize>>> {
        let rule = parsed("the name of a limit", |name| self.find(name));
        let list = fields.list("limits", List::Array, rule)?;
        distinct(fields, "limits", &list.items);
        Some(list.items)
    }

    /// The position of a limit, right or wrong.
    fn find(&self, name: &str) -> Result<usize, Fault> {
        let found = self.names.binary_search_by(|(known, _)| known.as_str().cmp(name));
        found.map_err(|_| {
            let known = || self.names.iter().map(|(name, _)| name.as_str());
            let help = did_you_mean(name, known()).unwrap_or_else(|| match known().next() {
                None => "add a table [limit.NAME]".into(),
                Some(_) => format!("known: {}", known().collect::<Vec<_>>().join(", ")),
            });
            Fault { message: format!("there is no limit {}", quote(name)), help: Some(help) }
        })
    }
}

fn rate(text: &str) -> Result<Rate, Fault> {
    let fault = |message: String| Fault {
        message,
        help: text.parse::<u32>().ok().map(|count| format!("write \"{count}/s\"")),
    };
    let parts = text.split_once('/').and_then(|(count, unit)| {
        let (_, period) = PERIODS.into_iter().find(|(name, _)| *name == unit)?;
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        Some((count.parse::<u32>().ok().filter(|_| digits)?, period))
    });
    let (count, period) = parts.ok_or_else(|| {
        let what = "a number, a slash and one of the units s, m, h, d, such as \"100/s\"";
        fault(format!("expected a rate, {what}, not {}", quote(text)))
    })?;
    if !(1..=MAX_COUNT).contains(&count) {
        return Err(fault(format!("must have 1 to {MAX_COUNT} requests in a unit of time, not {count}")));
    }
    Ok(Rate { count, period })
}

/// As in the file.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = PERIODS.iter().find(|(_, period)| *period == self.period).map_or("s", |(name, _)| name);
        write!(f, "{}/{unit}", self.count)
    }
}
