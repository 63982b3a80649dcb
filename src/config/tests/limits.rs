//! `[limit.NAME]`, and the places that name a limit.

use std::time::Duration;

use super::{REST, assert_same, config, error, errors, parse};
use crate::config::{Config, Per, Rate};

fn limit(text: &str) -> String {
    format!("[limit.few]\nper = \"address\"\n{text}\n{}limits = [\"few\"]\n", REST)
}

/// Names of the limits of the route with this path.
fn limits_of(config: &Config, path: &str) -> Vec<String> {
    let (_, route) = config.routes.iter().find(|(pattern, _)| pattern.path().to_string() == path).unwrap();
    route.limits.iter().map(|&limit| config.limits[limit].name.to_string()).collect()
}

#[test]
fn a_rate_is_a_number_in_a_unit_of_time() {
    for (text, count, seconds) in
        [("1/s", 1, 1), ("600/m", 600, 60), ("5/h", 5, 3600), ("1000000/d", 1_000_000, 86_400)]
    {
        let config = config(&limit(&format!("rate = {text:?}")));
        let limit = &config.limits[0];
        assert_eq!(limit.rate, Rate { count, period: Duration::from_secs(seconds) }, "{text}");
        assert_eq!((limit.burst, limit.per, limit.memory), (count, Per::Address, 4 << 20));
        assert_eq!(limit.rate.to_string(), text);
    }
    for text in [
        "",
        "1",
        "/s",
        "1/",
        "1/w",
        "1 /s",
        "+1/s",
        "-1/s",
        "1.5/s",
        "1/s/s",
        "0/s",
        "1000001/s",
        "99999999999/s",
    ] {
        let error = error(&limit(&format!("rate = {text:?}")));
        assert!(error.contains("limit.few.rate: "), "{error}");
    }
    assert!(error(&limit("rate = \"100\"")).ends_with("write \"100/s\""));
}

#[test]
fn what_a_limit_needs_is_asked_for() {
    let text = format!("[limit.few]\n{REST}limits = [\"few\"]\n");
    let errors = errors(&text);
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].contains("limit.few.rate: this key is missing"), "{errors:#?}");
    assert!(errors[1].contains("limit.few.per: this key is missing"), "{errors:#?}");
    let slow = error(&limit("rate = \"1/d\"\nburst = 31"));
    assert!(
        slow.contains("limit.few.burst: at this rate the burst would come back after more than 30 days"),
        "{slow}"
    );
    let name =
        error(&format!("[limit.\"a b\"]\nrate = \"1/s\"\nper = \"route\"\n{REST}limits = [\"a b\"]\n"));
    assert!(name.contains("a limit name must be"), "{name}");
    let typo = error(&limit("rate = \"1/s\"\nbrust = 2"));
    assert!(typo.ends_with("limit.few.brust: unknown key; did you mean \"burst\"?"), "{typo}");
}

#[test]
fn a_limit_that_is_not_there_is_told_with_the_nearest_name() {
    let text = limit("rate = \"1/s\"").replace("limits = [\"few\"]", "limits = [\"fwe\"]");
    let error = error(&text);
    assert!(
        error.contains("route[0].limits[0]: there is no limit \"fwe\"; did you mean \"few\"?"),
        "{error}"
    );
    let twice = super::error(&limit("rate = \"1/s\"").replace("[\"few\"]", "[\"few\", \"few\"]"));
    assert!(twice.contains("route[0].limits: given twice"), "{twice}");
}

#[test]
fn a_limit_that_nothing_names_is_probably_a_mistake() {
    let text = limit("rate = \"1/s\"").replace("limits = [\"few\"]", "");
    let warnings = config(&text).warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("limit.few: nothing is limited by it"), "{warnings:?}");
}

#[test]
fn a_public_route_knows_no_callers() {
    let text = limit("rate = \"1/s\"").replace("\"address\"", "\"caller\"");
    assert!(parse(&text).is_ok());
    let error = error(&text.replace("\"authenticated\"", "\"public\""));
    assert!(error.contains("route[0].limits: counts by caller"), "{error}");
}

#[test]
fn the_usual_limits_are_for_routes_that_name_none() {
    let text = r#"
[server]
limits = ["callers", "all"]
[limit.all]
rate = "100/s"
per = "address"
[limit.callers]
rate = "10/s"
burst = 3
per = "caller"
memory = "1MiB"
[upstream.a]
servers = ["http://127.0.0.1:9001"]
[[route]]
path = "/usual/*"
access = "authenticated"
upstream = "a"
[[route]]
path = "/open/*"
access = "public"
upstream = "a"
[[route]]
path = "/free/*"
access = "authenticated"
upstream = "a"
limits = []
"#;
    let config = config(text);
    assert_eq!(limits_of(&config, "/usual/*"), ["all", "callers"]);
    assert_eq!(limits_of(&config, "/open/*"), ["all"]);
    assert_eq!(limits_of(&config, "/free/*"), [""; 0]);
    assert_eq!(limits_of(&config, "/token"), ["all"]);
    assert_eq!(limits_of(&config, "/auth/me"), ["all", "callers"]);
    assert_eq!(limits_of(&config, "/healthz"), [""; 0]);
    assert_same(&config, &super::config(&config.to_string()));
    // Sorted by what they count, so that no request has to.
    let named = &config.server.limits;
    assert_eq!(Per::ALL.map(|per| named.per(per)), [&[0][..], &[1], &[]]);
}

#[test]
fn the_first_delay_of_logins_is_not_the_longest() {
    let error = error(&format!("[login]\nfirst_delay = \"2m\"\n{REST}"));
    assert!(error.ends_with("login.first_delay: is longer than login.max_delay"), "{error}");
}
