//! `[registration]`: off unless it is wanted, and no way to a privileged role.

use http::Method;

use super::{REST, config, errors};
use crate::config::{Config, Endpoint, RegistrationMode, Target};

fn with(lines: &str) -> String {
    format!("[registration]\n{lines}\n{REST}")
}

fn has_endpoint(config: &Config) -> bool {
    config.routes.iter().any(|(_, route)| route.target == Target::Local(Endpoint::Register))
}

#[test]
fn there_is_no_endpoint_unless_it_is_wanted() {
    for (lines, mode) in [
        ("", RegistrationMode::Off),
        ("mode = \"off\"", RegistrationMode::Off),
        ("mode = \"invitation\"", RegistrationMode::Invitation),
        ("mode = \"open\"", RegistrationMode::Open),
    ] {
        let config = config(&with(lines));
        assert_eq!(config.registration.mode, mode);
        assert_eq!(has_endpoint(&config), mode != RegistrationMode::Off, "{lines}");
        assert!(config.registration.default_roles.is_empty());
        assert_eq!(config.registration.privileged_roles.to_string(), "admin");
    }
    let config = config(&with("mode = \"open\""));
    let (_, route) =
        config.routes.iter().find(|(_, it)| it.target == Target::Local(Endpoint::Register)).unwrap();
    assert_eq!((route.pattern.path().to_string().as_str(), route.max_body), ("/auth/register", 8 << 10));
    assert_eq!(route.pattern.methods().named(), [Method::POST]);
}

#[test]
fn a_privileged_role_is_none_to_come_with() {
    for (lines, place, role, also) in [
        ("default_roles = [\"reader\", \"admin\"]", "2:28", "admin", ""),
        ("default_roles = [\"Admin\"]", "2:18", "Admin", ""),
        ("privileged_roles = []\ndefault_roles = [\"admin\"]", "3:18", "admin", ""),
        ("privileged_roles = [\"ops\"]\ndefault_roles = [\"ops\"]", "3:18", "ops", " (privileged: line 2)"),
        ("privileged_roles = [\"ops\"]\ndefault_roles = [\"OPS\"]", "3:18", "OPS", " (privileged: line 2)"),
        ("mode = \"off\"\nprivileged_roles = [\"ops\"]\ndefault_roles = [\"admin\"]", "4:18", "admin", ""),
    ] {
        assert_eq!(
            errors(&with(lines)),
            [format!(
                "config.toml:{place}: registration.default_roles: \"{role}\" is a privileged role, and whoever registers \
                 would have it{also}; leave it out, and give it to the users who need it: portcullis user roles NAME --role ..."
            )],
            "{lines}"
        );
    }
    let config = config(&with("default_roles = [\"reader\"]\nprivileged_roles = [\"ops\"]"));
    assert_eq!(config.registration.default_roles.to_string(), "reader");
}

#[test]
fn what_is_wrong_is_named() {
    for (lines, part) in [
        (
            "mode = \"opne\"",
            "registration.mode: expected one of \"off\", \"invitation\", \"open\", not \"opne\"; did you mean \"open\"?",
        ),
        ("mode = true", "registration.mode: expected"),
        ("max_user = 3", "registration.max_user: unknown key; did you mean \"max_users\"?"),
        ("max_users = 0", "registration.max_users: must be 1 to 1000000, not 0"),
        ("default_roles = \"reader\"", "registration.default_roles: expected an array"),
        ("default_roles = [\"a b\"]", "registration.default_roles[0]: a role must be"),
        ("default_roles = [\"a\", \"a\"]", "registration.default_roles: given twice"),
        ("first_delay = \"20m\"", "registration.first_delay: is longer than registration.max_delay"),
    ] {
        let errors = errors(&with(lines));
        assert!(errors.len() == 1 && errors[0].contains(part), "{errors:?}");
    }
}
