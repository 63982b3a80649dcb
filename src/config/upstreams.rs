//! `[upstream.NAME]`: the servers that requests are forwarded to.

use std::ops::Range;
use std::time::Duration;

use http::uri::Authority;
use toml::Spanned;
use toml::de::DeValue;

use crate::name::UpstreamName;

use super::diagnostics::{Kind, Problem, Problems};
use super::reader::{Fields, List, bare, describe};
use super::rule::{parsed, time};
use super::sections::{HOUR, TENTH, distinct, secs};
use super::settings::Upstream;
use super::text;

/// All upstreams of the file.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    /// Those that are right, in the order of their names. When one is not, indices are off, but then no `Config` is made.
    pub(super) list: Vec<Upstream>,
    /// Every name in the file, right or wrong, in the same order, and where it stands.
    pub(super) names: Vec<(String, Range<usize>)>,
}

impl Upstreams {
    /// The index of an upstream, right or wrong.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()
    }
}

/// Reads the table of tables.
pub(super) fn read(value: Option<&Spanned<DeValue<'_>>>, problems: &mut Problems) -> Upstreams {
    let mut upstreams = Upstreams::default();
    let Some(value) = value else {
        return upstreams;
    };
    let Some(table) = value.get_ref().as_table() else {
        let message = format!("expected tables [upstream.NAME], found {}", describe(value.get_ref()));
        problems.error(Problem::new(Kind::Value, "upstream", message).at(Some(value.span())));
        return upstreams;
    };
    for (key, value) in table {
        let path = format!("upstream.{}", bare(key.get_ref()));
        upstreams.names.push((key.get_ref().to_string(), key.span()));
        if !value.get_ref().is_table() {
            let message = format!("expected a table [upstream.NAME], found {}", describe(value.get_ref()));
            problems.error(Problem::new(Kind::Value, path, message).at(Some(key.span())));
            continue;
        }
        let name = UpstreamName::new(key.get_ref());
        if let Err(error) = &name {
            problems.error(Problem::new(Kind::Value, path.as_str(), error.to_string()).at(Some(key.span())));
        }
        let read = upstream(Fields::of("upstream", path, Some(value), problems), name.ok());
        upstreams.list.extend(read);
    }
    upstreams
}

fn upstream(mut fields: Fields<'_, '_, '_>, name: Option<UpstreamName>) -> Option<Upstream> {
    let servers = servers(&mut fields);
    let f = &mut fields;
    let connect_timeout = f.or("connect_timeout", time(Duration::from_millis(10)..=secs(60)), secs(2));
    let response_timeout = f.or("response_timeout", time(TENTH..=24 * HOUR), secs(30));
    let idle_timeout = f.or("idle_timeout", time(TENTH..=HOUR), secs(60));
    fields.finish();
    Some(Upstream { name: name?, servers, connect_timeout, response_timeout, idle_timeout })
}

fn servers(fields: &mut Fields<'_, '_, '_>) -> Vec<Authority> {
    let Some(list) = fields.list("servers", List::Array, parsed("a URL", text::server_url)) else {
        fields.missing("servers", Some("write servers = [\"http://127.0.0.1:9001\"]".into()));
        return Vec::new();
    };
    if list.elements == 0 {
        let problem = Problem::new(Kind::Value, fields.key("servers"), "expected at least one server");
        fields.problems.error(problem.at(list.span));
    }
    distinct(fields, "servers", &list.items);
    list.items.into_iter().map(|server| server.value).collect()
}
