//! `portcullis check`: is the file right, and which route wins over which?

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::failure::{Failure, Status};
use super::{print_json, table};
use crate::config::{self, Config, Route, Target};
use crate::route::{Access, Pattern};

/// Checks the file and prints its route table in the order in which routes match, the most specific first; warnings go
/// below it. With `json` all of that is one object on standard output, and so are the errors of a wrong file.
///
/// # Errors
/// [`Failure`] with every error of a wrong file.
pub(super) fn run(config: &Path, json: bool, out: &mut dyn Write) -> Result<Status, Failure> {
    let loaded = match config::load(config) {
        Ok(loaded) => loaded,
        Err(diagnostics) if json => {
            let errors: Vec<String> = diagnostics.iter().collect();
            print_json(out, &Report { valid: false, errors, warnings: Vec::new(), routes: Vec::new() })?;
            return Ok(Status::Wrong);
        }
        Err(diagnostics) => return Err(Failure::Config(diagnostics)),
    };
    let routes: Vec<Row> =
        loaded.routes.iter().map(|(pattern, route)| row(&loaded, pattern, route)).collect();
    if json {
        let warnings = loaded.warnings;
        print_json(out, &Report { valid: true, errors: Vec::new(), warnings, routes })?;
    } else {
        print_table(out, &routes)?;
        for warning in &loaded.warnings {
            writeln!(out, "warning: {warning}")?;
        }
    }
    Ok(Status::Done)
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    valid: bool,
    errors: Vec<String>,
    warnings: Vec<String>,
    routes: Vec<Row>,
}

/// One route. `*` is any host, `any` any method.
#[derive(Debug, Serialize)]
struct Row {
    host: String,
    path: String,
    methods: String,
    access: String,
    outlive_token: bool,
    target: String,
    servers: Vec<String>,
    limits: Vec<String>,
    name: String,
}

fn row(config: &Config, pattern: &Pattern, route: &Route) -> Row {
    let upstream = match route.target {
        Target::Upstream(index) => config.upstreams.get(index),
        Target::Local(_) => None,
    };
    Row {
        host: pattern.host().map_or_else(|| "*".into(), ToString::to_string),
        path: pattern.path().to_string(),
        methods: pattern.methods().to_string(),
        access: rule(&route.access),
        outlive_token: route.outlive_token,
        target: upstream.map_or_else(|| "local".into(), |upstream| upstream.name.to_string()),
        servers: upstream.into_iter().flat_map(|it| it.servers.iter().map(ToString::to_string)).collect(),
        limits: route
            .limits
            .iter()
            .filter_map(|&limit| Some(config.limits.get(limit)?.name.to_string()))
            .collect(),
        name: route.name.to_string(),
    }
}

/// Who may pass a route, in a word or two.
pub(super) fn rule(access: &Access) -> String {
    match access {
        Access::Public => "public".to_owned(),
        Access::Authenticated => "authenticated".to_owned(),
        Access::Roles(roles) => format!("roles {roles}"),
    }
}

/// The same, and for how long, where that is not as long as the token is good.
pub(super) fn with_duration(access: &str, outlives_token: bool) -> String {
    if outlives_token { format!("{access} (outlives the token)") } else { access.to_owned() }
}

impl Row {
    fn cells(&self) -> [String; 7] {
        let target = if self.servers.is_empty() {
            format!("-> {}", self.target)
        } else {
            format!("-> {} ({})", self.target, self.servers.join(", "))
        };
        let access = with_duration(&self.access, self.outlive_token);
        let limits = if self.limits.is_empty() { "-".to_owned() } else { self.limits.join(",") };
        [&self.host, &self.path, &self.methods, &access, &limits, &target, &self.name].map(Clone::clone)
    }
}

fn print_table(out: &mut dyn Write, routes: &[Row]) -> io::Result<()> {
    let header = ["HOST", "PATH", "METHODS", "ACCESS", "LIMITS", "TARGET", "NAME"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(header).chain(routes.iter().map(Row::cells)).collect();
    table::print(out, &rows)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::run;

    const FILE: &str = r#"
[limit.slow]
rate = "6/m"
per = "caller"
[upstream.orders]
servers = ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]
[upstream.spare]
servers = ["http://127.0.0.1:9003"]
[[route]]
path = "/*"
access = "authenticated"
upstream = "orders"
[[route]]
name = "readers"
host = "api.example.com"
path = "/orders/*"
methods = ["GET", "PUT"]
roles = ["reader", "admin"]
limits = ["slow"]
upstream = "orders"
"#;

    /// Exit status, standard output and standard error.
    fn check(text: &str, json: bool) -> (u8, String, String) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("c.toml");
        fs::write(&file, text).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = run(&file, json, &mut out).unwrap_or_else(|failure| {
            failure.write(&mut err, false).unwrap();
            failure.status()
        });
        let clean = |bytes| String::from_utf8(bytes).unwrap().replace(file.to_str().unwrap(), "c.toml");
        (status as u8, clean(out), clean(err))
    }

    #[test]
    fn the_table_is_in_matching_order() {
        let (status, out, err) = check(FILE, false);
        assert_eq!((status, err.as_str()), (0, ""));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(
            lines[0],
            "HOST             PATH                                     METHODS  ACCESS              LIMITS  TARGET                                      NAME"
        );
        let at = |start: &str| lines.iter().position(|line| line.starts_with(start)).expect(start);
        assert_eq!(
            lines[at("api.example.com  /orders")],
            "api.example.com  /orders/*                                GET,PUT  roles admin,reader  slow    -> orders (127.0.0.1:9001, 127.0.0.1:9002)  readers"
        );
        assert!(lines[at("*                /token ")].ends_with("local:token"));
        assert!(at("api.example.com  /token") < at("api.example.com  /orders"));
        assert!(at("api.example.com  /orders") < at("*                /token"));
        assert!(at("*                /token") < at("*                /* "));
        assert_eq!(lines.last(), Some(&"warning: c.toml:7:11: upstream.spare: no route leads to it"));
    }

    #[test]
    fn json_says_the_same() {
        let (status, out, _) = check(FILE, true);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((status, json["valid"].as_bool()), (0, Some(true)));
        let routes = json["routes"].as_array().unwrap();
        let readers = routes.iter().find(|route| route["name"] == "readers").unwrap();
        assert_eq!(readers["servers"], serde_json::json!(["127.0.0.1:9001", "127.0.0.1:9002"]));
        assert_eq!(readers["limits"], serde_json::json!(["slow"]));
        assert_eq!(routes.last().unwrap()["path"], "/*");
        assert_eq!(json["warnings"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_route_that_outlives_the_token_says_so() {
        let text = FILE.replace("roles =", "outlive_token = true\nroles =");
        let (_, out, _) = check(&text, false);
        let line = out.lines().find(|line| line.starts_with("api.example.com  /orders")).unwrap();
        assert!(
            line.contains("roles admin,reader (outlives the token)") && line.contains("-> orders"),
            "{line}"
        );
        let (_, out, _) = check(&text, true);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        let outliving = json["routes"].as_array().unwrap().iter().filter(|it| it["outlive_token"] == true);
        let names: Vec<_> = outliving.map(|it| &it["name"]).collect();
        assert_eq!(names, ["readers"]);
    }

    #[test]
    fn a_wrong_file_exits_with_2_and_tells_every_error() {
        let (status, out, err) = check("[server]\nworker = 1\n[log]\nlevel = 3\n", false);
        assert_eq!((status, out.as_str()), (2, ""));
        assert!(
            err.contains("server.worker: unknown key") && err.contains("log.level: expected a string"),
            "{err}"
        );
        let (status, out, err) = check("[server]\nworker = 1\n", true);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((status, err.as_str(), json["valid"].as_bool()), (2, "", Some(false)));
        assert_eq!(json["errors"][0], "c.toml:2:1: server.worker: unknown key; did you mean \"workers\"?");
    }
}
